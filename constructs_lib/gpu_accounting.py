"""Prometheus with the recording rules for GPU-hours, as a Helm release."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from constructs_lib.cdk import Construct
from constructs_lib.gpu_accounting_rules import INTERVAL_SECONDS, JOB, recording_rules
from constructs_lib.ordering import run_after
from constructs_lib.providers import NamespaceV1, NamespaceV1Metadata, Release

CHART_REPOSITORY = "https://prometheus-community.github.io/helm-charts"
CHART = "prometheus"
DCGM_CHART_REPOSITORY = "https://nvidia.github.io/dcgm-exporter/helm-charts"
DCGM_CHART = "dcgm-exporter"

MIN_RETENTION_DAYS = 40
"""A month is billed in the days after it; with less its beginning is gone by then."""

_SERVICE_LABEL = "__meta_kubernetes_service_label_app_kubernetes_io_name"


class GpuAccounting(Construct):
    """Prometheus, kube-state-metrics and the rules that tell which namespace holds how many GPUs.

    Allocation is measured, not utilisation: a pod holds its GPUs whether it uses them or not. What a gap leaves
    unknown is seen in the series `edge_gpu:kube_state_metrics_up:max`, and whoever reports withholds it.

    Args:
        scope: Parent construct.
        id_: Construct id.
        chart_version: Exact version of the prometheus-community chart `prometheus`, which brings kube-state-metrics.
        chart_repository: http or https address of the chart's repository, default prometheus-community's.
        chart_path: Absolute path of the chart's archive on the machine that runs Terraform; then no repository is
            asked. Default None: the repository serves it.
        retention_days: How long samples are kept, at least 40, default 62.
        volume_gib: Size of the volume for them in GiB, default 8.
        dcgm_chart_version: Exact version of NVIDIA's chart `dcgm-exporter`, for each tenant's utilisation. Default
            None: it is not installed, and nothing that is billed needs it. Jetson modules have no DCGM.
        namespace: Made by this construct, default `gpu-accounting`.
        values: Further values of the chart, merged over ours at the top level, default none.

    Attributes:
        url: Prometheus's address inside the cluster.
        release: The `helm_release` resource.

    Raises:
        ValueError: `retention_days` is below 40, or `chart_path` is not absolute.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        chart_version: str,
        chart_repository: str = CHART_REPOSITORY,
        chart_path: Path | None = None,
        retention_days: int = 62,
        volume_gib: int = 8,
        dcgm_chart_version: str | None = None,
        namespace: str = "gpu-accounting",
        values: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(scope, id_)
        if retention_days < MIN_RETENTION_DAYS:
            raise ValueError(
                f"GpuAccounting: retention_days is {retention_days}; a month could not be billed any more when it is "
                f"over. Allowed is {MIN_RETENTION_DAYS} or more"
            )
        if chart_path is not None and not chart_path.is_absolute():
            raise ValueError(f"GpuAccounting: chart_path must be absolute, got {str(chart_path)!r}")
        chosen = {**_values(retention_days=retention_days, volume_gib=volume_gib), **(values or {})}
        home = NamespaceV1(self, "namespace", metadata=NamespaceV1Metadata(name=namespace))
        self.url = f"http://{CHART}-server.{namespace}.svc:80"
        self.release = Release(
            self,
            "release",
            name=CHART,
            namespace=namespace,
            repository=chart_repository if chart_path is None else None,
            chart=CHART if chart_path is None else str(chart_path),
            version=chart_version,
            values=[json.dumps(chosen, indent=2, sort_keys=True)],
            max_history=5,
            depends_on=[home],
        )
        if dcgm_chart_version is not None:
            exporter = Release(
                self,
                "dcgm-exporter",
                name=DCGM_CHART,
                namespace=namespace,
                repository=DCGM_CHART_REPOSITORY,
                chart=DCGM_CHART,
                version=dcgm_chart_version,
                values=[json.dumps(_DCGM_VALUES, indent=2, sort_keys=True)],
                # As the device plugin's: a node without a GPU must not keep the release waiting.
                wait=False,
                max_history=5,
            )
            run_after(exporter, home)


_DCGM_VALUES = {
    "serviceMonitor": {"enabled": False},
    "runtimeClassName": "nvidia",
    "nodeSelector": {"nvidia.com/gpu.present": "true"},
    "tolerations": [{"operator": "Exists"}],
}


def _values(*, retention_days: int, volume_gib: int) -> Mapping[str, object]:
    interval = f"{INTERVAL_SECONDS}s"
    return {
        # Nothing of these is billed by.
        "alertmanager": {"enabled": False},
        "prometheus-node-exporter": {"enabled": False},
        "prometheus-pushgateway": {"enabled": False},
        # Scraped by our own job alone, whose `up` is the coverage.
        "kube-state-metrics": {"enabled": True, "prometheusScrape": False},
        "server": {
            "fullnameOverride": f"{CHART}-server",
            "retention": f"{retention_days}d",
            "persistentVolume": {"enabled": True, "size": f"{volume_gib}Gi"},
            "global": {"scrape_interval": interval, "evaluation_interval": interval},
        },
        "serverFiles": {
            "recording_rules.yml": recording_rules(),
            "prometheus.yml": {
                "rule_files": ["/etc/config/recording_rules.yml"],
                "scrape_configs": [_scrape(JOB, JOB), _scrape(DCGM_CHART, DCGM_CHART)],
            },
        },
    }


def _scrape(job: str, service: str) -> Mapping[str, object]:
    return {
        "job_name": job,
        # The namespace a metric speaks of, not the exporter's own.
        "honor_labels": True,
        "kubernetes_sd_configs": [{"role": "endpoints"}],
        "relabel_configs": [
            {"source_labels": [_SERVICE_LABEL], "regex": service, "action": "keep"},
            {"source_labels": ["__meta_kubernetes_endpoint_port_name"], "regex": "http|metrics", "action": "keep"},
        ],
    }
