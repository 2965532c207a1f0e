"""GPU-hours to Waldur once an hour, for sites that do not run waldur-site-agent."""

from __future__ import annotations

import json

from constructs_lib.cdk import Construct
from constructs_lib.ordering import run_after
from constructs_lib.providers import NamespaceV1, NamespaceV1Metadata
from constructs_lib.waldur_reporting import claim_reporting
from constructs_lib.workload_providers import (
    ConfigMapV1,
    ConfigMapV1Metadata,
    CronJobV1,
    CronJobV1Metadata,
    CronJobV1Spec,
    CronJobV1SpecJobTemplate,
    CronJobV1SpecJobTemplateMetadata,
    CronJobV1SpecJobTemplateSpec,
    CronJobV1SpecJobTemplateSpecTemplate,
    CronJobV1SpecJobTemplateSpecTemplateMetadata,
    CronJobV1SpecJobTemplateSpecTemplateSpec,
    CronJobV1SpecJobTemplateSpecTemplateSpecContainer,
    CronJobV1SpecJobTemplateSpecTemplateSpecContainerResources,
    CronJobV1SpecJobTemplateSpecTemplateSpecContainerSecurityContext,
    CronJobV1SpecJobTemplateSpecTemplateSpecContainerSecurityContextCapabilities,
    CronJobV1SpecJobTemplateSpecTemplateSpecContainerVolumeMount,
    CronJobV1SpecJobTemplateSpecTemplateSpecSecurityContext,
    CronJobV1SpecJobTemplateSpecTemplateSpecVolume,
    CronJobV1SpecJobTemplateSpecTemplateSpecVolumeConfigMap,
    CronJobV1SpecJobTemplateSpecTemplateSpecVolumeSecret,
)

_NAME = "waldur-usage-reporter"
_CONFIGURATION = "/etc/waldur-usage-reporter"
_TOKEN = "/run/secrets/waldur"
_USER = "65532"
_LIMIT_SECONDS = 1800


class WaldurUsageReporter(Construct):
    """A CronJob that writes the month's GPU-hours until now for each resource of an offering, and reads them back.

    It writes nothing that is negative or below what the month has, and nothing while Prometheus lacks data: the job
    fails then, and the next one catches up. It has no rights in the cluster. The token is in a Secret that is there
    before, as for `WaldurAgent`.

    Args:
        scope: Parent construct.
        id_: Construct id.
        api_url: Waldur's, https, ending in `/api/`.
        offering_uuid: The offering, whose resources' backend ids are namespaces.
        image: Image with waldur-site-agent-k3s.
        prometheus_url: `GpuAccounting.url`.
        component: The offering's component for GPU-hours, default `gpu_hours`.
        token_secret: Name of that Secret, with the key `token`, default `waldur-token`.
        minute: Of each hour, 5 to 59, default 17: in the hour's first minutes a new month is too young to measure.
        timezone: Of the months that are billed; Waldur's own, default `UTC`.
        namespace: Made by this construct, default `waldur-usage-reporter`.

    Raises:
        ValueError: `api_url` is not https, `minute` is out of its range, or a `WaldurAgent` of the app reports the
            same offering.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        api_url: str,
        offering_uuid: str,
        image: str,
        prometheus_url: str,
        component: str = "gpu_hours",
        token_secret: str = "waldur-token",
        minute: int = 17,
        timezone: str = "UTC",
        namespace: str = _NAME,
    ) -> None:
        super().__init__(scope, id_)
        if not api_url.startswith("https://") or not api_url.endswith("/api/"):
            raise ValueError(f"WaldurUsageReporter {id_}: api_url is {api_url!r}; allowed is https://HOST/api/")
        if not 5 <= minute <= 59:
            raise ValueError(f"WaldurUsageReporter {id_}: minute is {minute}; allowed is 5 to 59")
        claim_reporting(self, offering_uuid=offering_uuid)
        settings = {
            "api_url": api_url,
            "token_file": f"{_TOKEN}/token",
            "offering_uuid": offering_uuid,
            "prometheus_url": prometheus_url,
            "usage": {component: "namespace:gpu_allocated:sum"},
            "timezone": timezone,
        }
        home = NamespaceV1(self, "namespace", metadata=NamespaceV1Metadata(name=namespace))
        config = ConfigMapV1(
            self,
            "configuration",
            metadata=ConfigMapV1Metadata(name=_NAME, namespace=namespace),
            data={"config.json": json.dumps(settings, indent=2, sort_keys=True)},
            depends_on=[home],
        )
        job = CronJobV1(
            self,
            "job",
            metadata=CronJobV1Metadata(name=_NAME, namespace=namespace),
            spec=CronJobV1Spec(
                schedule=f"{minute} * * * *",
                concurrency_policy="Forbid",
                starting_deadline_seconds=_LIMIT_SECONDS,
                job_template=CronJobV1SpecJobTemplate(
                    metadata=CronJobV1SpecJobTemplateMetadata(),
                    spec=CronJobV1SpecJobTemplateSpec(
                        backoff_limit=2,
                        active_deadline_seconds=_LIMIT_SECONDS,
                        template=CronJobV1SpecJobTemplateSpecTemplate(
                            metadata=CronJobV1SpecJobTemplateSpecTemplateMetadata(),
                            spec=_pod(image=image, token_secret=token_secret),
                        ),
                    ),
                ),
            ),
        )
        run_after(job, config)


def _pod(*, image: str, token_secret: str) -> CronJobV1SpecJobTemplateSpecTemplateSpec:
    mounts = {"configuration": _CONFIGURATION, "token": _TOKEN}
    container = CronJobV1SpecJobTemplateSpecTemplateSpecContainer(
        name="reporter",
        image=image,
        command=["python", "-m", "waldur_site_agent_k3s.reporter", f"{_CONFIGURATION}/config.json"],
        resources=CronJobV1SpecJobTemplateSpecTemplateSpecContainerResources(
            requests={"cpu": "50m", "memory": "192Mi"}, limits={"memory": "512Mi"}
        ),
        security_context=CronJobV1SpecJobTemplateSpecTemplateSpecContainerSecurityContext(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=CronJobV1SpecJobTemplateSpecTemplateSpecContainerSecurityContextCapabilities(drop=["ALL"]),
        ),
        volume_mount=[
            CronJobV1SpecJobTemplateSpecTemplateSpecContainerVolumeMount(name=name, mount_path=path, read_only=True)
            for name, path in mounts.items()
        ],
    )
    return CronJobV1SpecJobTemplateSpecTemplateSpec(
        restart_policy="Never",
        automount_service_account_token=False,
        security_context=CronJobV1SpecJobTemplateSpecTemplateSpecSecurityContext(
            run_as_non_root=True, run_as_user=_USER, run_as_group=_USER, fs_group=_USER
        ),
        container=[container],
        volume=[
            CronJobV1SpecJobTemplateSpecTemplateSpecVolume(
                name="configuration", config_map=CronJobV1SpecJobTemplateSpecTemplateSpecVolumeConfigMap(name=_NAME)
            ),
            CronJobV1SpecJobTemplateSpecTemplateSpecVolume(
                name="token",
                secret=CronJobV1SpecJobTemplateSpecTemplateSpecVolumeSecret(
                    secret_name=token_secret, default_mode="0440"
                ),
            ),
        ],
    )
