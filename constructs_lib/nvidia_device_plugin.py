"""NVIDIA's device plugin for Kubernetes, as a Helm release."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from constructs_lib.cdk import Construct
from constructs_lib.place import Group
from constructs_lib.providers import NamespaceV1, NamespaceV1Metadata, Release

CHART_REPOSITORY = "https://nvidia.github.io/k8s-device-plugin"
CHART = "nvidia-device-plugin"


class NvidiaDevicePlugin(Group):
    """The device plugin's chart in a namespace of its own, on every node labelled `nvidia.com/gpu.present=true`.

    The plugin runs with RuntimeClass `nvidia`, which K3s ships: without it the plugin finds no driver library.
    Helm's own wait is off: it calls a DaemonSet ready that has no pod, or whose only pod crashes. `GpuCheck` is
    what tells whether it works.

    Args:
        scope: Parent construct.
        id_: Construct id.
        chart_version: Exact version of the chart, for example `0.19.3`.
        chart_repository: http or https address of the chart's repository, default NVIDIA's.
        chart_path: Absolute path of the chart's archive on the machine that runs Terraform; then no repository is
            asked. Default None: the repository serves it.
        image: Image reference with tag. Default None: the chart's own.
        namespace: Made by this construct, default `nvidia-device-plugin`.
        values: Further values of the chart, merged over ours at the top level, default none.

    Attributes:
        namespace_name: The namespace.
        pod_selector: Label selector of the plugin's pods.
        release: The `helm_release` resource.

    Raises:
        ValueError: `image` has no tag, or `chart_path` is not absolute.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        chart_version: str,
        chart_repository: str = CHART_REPOSITORY,
        chart_path: Path | None = None,
        image: str | None = None,
        namespace: str = "nvidia-device-plugin",
        values: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(scope, id_)
        if chart_path is not None and not chart_path.is_absolute():
            raise ValueError(f"NvidiaDevicePlugin: chart_path must be absolute, got {str(chart_path)!r}")
        chosen = {**chart_values(image=image), **(values or {})}
        home = NamespaceV1(self, "namespace", metadata=NamespaceV1Metadata(name=namespace))
        self.namespace_name = namespace
        self.pod_selector = f"app.kubernetes.io/name={CHART},app.kubernetes.io/instance={CHART}"
        self.release = Release(
            self,
            "release",
            name=CHART,
            namespace=namespace,
            repository=chart_repository if chart_path is None else None,
            chart=CHART if chart_path is None else str(chart_path),
            version=chart_version,
            values=[json.dumps(chosen, indent=2, sort_keys=True)],
            wait=False,
            max_history=5,
            depends_on=[home],
        )


def chart_values(*, image: str | None) -> Mapping[str, object]:
    """What we set of the chart's values, for K3s. Raises ValueError when `image` has no tag."""
    return {
        "runtimeClassName": "nvidia",
        # A node's own infrastructure: whatever keeps workloads away must not keep the plugin away.
        "tolerations": [{"operator": "Exists"}],
        **({"image": _image_values(image)} if image is not None else {}),
    }


def _image_values(image: str) -> Mapping[str, str]:
    repository, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:
        raise ValueError(f"NvidiaDevicePlugin: image {image!r} has no tag; give one, like {image}:v0.19.3")
    return {"repository": repository, "tag": tag}
