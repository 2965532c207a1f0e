"""waldur-site-agent with the backend `k3s`, in the cluster whose tenants it makes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Literal

from constructs_lib.cdk import Construct, IConstruct
from constructs_lib.ordering import run_after
from constructs_lib.providers import NamespaceV1, NamespaceV1Metadata
from constructs_lib.waldur_agent_access import agent_rules
from constructs_lib.waldur_offering import GPU_COMPONENTS, WaldurComponent
from constructs_lib.waldur_reporting import claim_reporting
from constructs_lib.workload_providers import (
    ClusterRoleBindingV1,
    ClusterRoleBindingV1Metadata,
    ClusterRoleBindingV1RoleRef,
    ClusterRoleBindingV1Subject,
    ClusterRoleV1,
    ClusterRoleV1Metadata,
    ClusterRoleV1Rule,
    ConfigMapV1,
    ConfigMapV1Metadata,
    DeploymentV1,
    DeploymentV1Metadata,
    DeploymentV1Spec,
    DeploymentV1SpecSelector,
    DeploymentV1SpecStrategy,
    DeploymentV1SpecTemplate,
    DeploymentV1SpecTemplateMetadata,
    DeploymentV1SpecTemplateSpec,
    DeploymentV1SpecTemplateSpecContainer,
    DeploymentV1SpecTemplateSpecContainerResources,
    DeploymentV1SpecTemplateSpecContainerSecurityContext,
    DeploymentV1SpecTemplateSpecContainerSecurityContextCapabilities,
    DeploymentV1SpecTemplateSpecContainerVolumeMount,
    DeploymentV1SpecTemplateSpecSecurityContext,
    DeploymentV1SpecTemplateSpecVolume,
    DeploymentV1SpecTemplateSpecVolumeConfigMap,
    DeploymentV1SpecTemplateSpecVolumeEmptyDir,
    DeploymentV1SpecTemplateSpecVolumeSecret,
    ServiceAccountV1,
    ServiceAccountV1Metadata,
)

Mode = Literal["order_process", "membership_sync", "report"]
MODES: tuple[Mode, ...] = ("order_process", "membership_sync", "report")

TOKEN_KEY = "token"
"""Key of the Secret with Waldur's token."""

_NAME = "waldur-site-agent"
_CONFIGURATION = "/etc/waldur-site-agent"
_TOKEN = "/run/secrets/waldur"
_RUN = "/run/waldur-site-agent"
_USER = 65532


class WaldurAgent(Construct):
    """One Deployment for each mode of the agent, with the least rights in the cluster and no way in.

    The token is in a Secret that is there before, made by an operator, so that Terraform never sees it:
    `kubectl create secret generic waldur-token -n waldur-system --from-file=token=/dev/stdin`. The pods wait for it.
    A changed token counts when the pods start again.

    Args:
        scope: Parent construct.
        id_: Construct id.
        api_url: Waldur's, https, ending in `/api/`.
        offering_uuid: What `edge-gpu waldur register` printed.
        image: Image with waldur-site-agent and waldur-site-agent-k3s (waldur_site_agent_k3s/Dockerfile).
        components: The offering's, default GPU_COMPONENTS.
        prometheus_url: Where GPU-hours are asked for, `GpuAccounting.url`. Needed when a component is billed by usage.
        token_secret: Name of that Secret, with the key `token`, default `waldur-token`.
        modes: Default MODES. Without `report` nothing is billed by usage, unless a `WaldurUsageReporter` does it.
        settings: Further backend_settings, merged over ours, default none.
        timezone: Of the months that are billed; Waldur's own, default `UTC`.
        namespace: Made by this construct, default `waldur-system`.

    Attributes:
        namespace: The `kubernetes_namespace_v1` resource.

    Raises:
        ValueError: `api_url` is not https, the UUID is none, no mode is given, usage is billed and `prometheus_url`
            is None, or a `WaldurUsageReporter` of the app reports the same offering.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        api_url: str,
        offering_uuid: str,
        image: str,
        components: Sequence[WaldurComponent] = GPU_COMPONENTS,
        prometheus_url: str | None = None,
        token_secret: str = "waldur-token",
        modes: Sequence[Mode] = MODES,
        settings: Mapping[str, object] | None = None,
        timezone: str = "UTC",
        namespace: str = "waldur-system",
    ) -> None:
        super().__init__(scope, id_)
        billed = [component.type for component in components if component.billing_type == "usage"]
        _check(id_, api_url=api_url, offering_uuid=offering_uuid, modes=modes)
        if billed and prometheus_url is None:
            raise ValueError(
                f"WaldurAgent {id_}: {', '.join(billed)} is billed by usage; pass prometheus_url, for example "
                "GpuAccounting.url"
            )
        configuration = _configuration(
            api_url=api_url,
            offering_uuid=offering_uuid,
            components=components,
            prometheus_url=prometheus_url,
            settings=settings or {},
            timezone=timezone,
        )
        self.namespace = NamespaceV1(self, "namespace", metadata=NamespaceV1Metadata(name=namespace))
        if "report" in modes:
            claim_reporting(self, offering_uuid=offering_uuid)
        account = ServiceAccountV1(
            self,
            "account",
            metadata=ServiceAccountV1Metadata(name=_NAME, namespace=namespace),
            depends_on=[self.namespace],
        )
        role = ClusterRoleV1(
            self,
            "role",
            metadata=ClusterRoleV1Metadata(name=_NAME),
            rule=[
                ClusterRoleV1Rule(
                    api_groups=rule["apiGroups"],
                    resources=rule["resources"],
                    verbs=rule["verbs"],
                    resource_names=rule.get("resourceNames"),
                )
                for rule in agent_rules()
            ],
        )
        binding = ClusterRoleBindingV1(
            self,
            "binding",
            metadata=ClusterRoleBindingV1Metadata(name=_NAME),
            role_ref=ClusterRoleBindingV1RoleRef(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=_NAME),
            subject=[ClusterRoleBindingV1Subject(kind="ServiceAccount", name=_NAME, namespace=namespace)],
            depends_on=[role, account],
        )
        config = ConfigMapV1(
            self,
            "configuration",
            metadata=ConfigMapV1Metadata(name=_NAME, namespace=namespace),
            data={"config.json": configuration},
            depends_on=[self.namespace],
        )
        for mode in modes:
            deployment = self._deployment(
                mode, namespace=namespace, image=image, token_secret=token_secret, configuration=configuration
            )
            prerequisites: list[IConstruct] = [binding, config]
            run_after(deployment, *prerequisites)

    def _deployment(
        self, mode: Mode, *, namespace: str, image: str, token_secret: str, configuration: str
    ) -> DeploymentV1:
        name = f"{_NAME}-{mode.replace('_', '-')}"
        labels = {"app.kubernetes.io/name": name}
        mounts = {"configuration": _CONFIGURATION, "token": _TOKEN, "run": _RUN, "tmp": "/tmp"}
        container = DeploymentV1SpecTemplateSpecContainer(
            name="agent",
            image=image,
            command=["python", "-m", "waldur_site_agent_k3s.start"],
            args=[mode, f"{_CONFIGURATION}/config.json", f"{_TOKEN}/{TOKEN_KEY}", f"{_RUN}/config.yaml"],
            resources=DeploymentV1SpecTemplateSpecContainerResources(
                requests={"cpu": "50m", "memory": "256Mi"}, limits={"memory": "768Mi"}
            ),
            security_context=DeploymentV1SpecTemplateSpecContainerSecurityContext(
                allow_privilege_escalation=False,
                read_only_root_filesystem=True,
                capabilities=DeploymentV1SpecTemplateSpecContainerSecurityContextCapabilities(drop=["ALL"]),
            ),
            volume_mount=[
                DeploymentV1SpecTemplateSpecContainerVolumeMount(
                    name=volume, mount_path=path, read_only=volume in ("configuration", "token")
                )
                for volume, path in mounts.items()
            ],
        )
        memory = DeploymentV1SpecTemplateSpecVolumeEmptyDir(medium="Memory", size_limit="16Mi")
        volumes = [
            DeploymentV1SpecTemplateSpecVolume(
                name="configuration", config_map=DeploymentV1SpecTemplateSpecVolumeConfigMap(name=_NAME)
            ),
            DeploymentV1SpecTemplateSpecVolume(
                name="token",
                secret=DeploymentV1SpecTemplateSpecVolumeSecret(secret_name=token_secret, default_mode="0440"),
            ),
            # In memory: the agent takes its token from its configuration file alone.
            DeploymentV1SpecTemplateSpecVolume(name="run", empty_dir=memory),
            DeploymentV1SpecTemplateSpecVolume(name="tmp", empty_dir=memory),
        ]
        return DeploymentV1(
            self,
            name,
            metadata=DeploymentV1Metadata(name=name, namespace=namespace),
            # Its pods wait for the Secret, which an operator may make afterwards.
            wait_for_rollout=False,
            spec=DeploymentV1Spec(
                # Two at once would process an order twice.
                replicas="1",
                strategy=DeploymentV1SpecStrategy(type="Recreate"),
                selector=DeploymentV1SpecSelector(match_labels=labels),
                template=DeploymentV1SpecTemplate(
                    metadata=DeploymentV1SpecTemplateMetadata(
                        labels=labels,
                        # A changed configuration starts the pods again.
                        annotations={"edge-gpu/configuration": hashlib.sha256(configuration.encode()).hexdigest()},
                    ),
                    spec=DeploymentV1SpecTemplateSpec(
                        service_account_name=_NAME,
                        security_context=DeploymentV1SpecTemplateSpecSecurityContext(
                            run_as_non_root=True, run_as_user=str(_USER), run_as_group=str(_USER), fs_group=str(_USER)
                        ),
                        container=[container],
                        volume=volumes,
                    ),
                ),
            ),
        )


def _configuration(
    *,
    api_url: str,
    offering_uuid: str,
    components: Sequence[WaldurComponent],
    prometheus_url: str | None,
    settings: Mapping[str, object],
    timezone: str,
) -> str:
    usage = {} if prometheus_url is None else {"prometheus_url": prometheus_url}
    offering = {
        "name": "k3s",
        "waldur_api_url": api_url,
        "waldur_offering_uuid": offering_uuid,
        "backend_type": "k3s",
        "order_processing_backend": "k3s",
        "membership_sync_backend": "k3s",
        "reporting_backend": "k3s",
        "resource_import_enabled": True,
        "backend_settings": {
            "waldur_api_url": api_url,
            "waldur_api_token_file": f"{_TOKEN}/{TOKEN_KEY}",
            **usage,
            **settings,
        },
        "backend_components": {
            component.type: {
                "label": component.name,
                "measured_unit": component.measured_unit,
                "unit_factor": 1,
                "accounting_type": component.billing_type,
            }
            for component in components
        },
    }
    return json.dumps({"timezone": timezone, "offerings": [offering]}, indent=2, sort_keys=True)


def _check(id_: str, *, api_url: str, offering_uuid: str, modes: Sequence[Mode]) -> None:
    if not api_url.startswith("https://") or not api_url.endswith("/api/"):
        raise ValueError(f"WaldurAgent {id_}: api_url is {api_url!r}; allowed is https://HOST/api/")
    digits = offering_uuid.replace("-", "")
    if len(digits) != 32 or not all(digit in "0123456789abcdef" for digit in digits):
        raise ValueError(
            f"WaldurAgent {id_}: offering_uuid is {offering_uuid!r}; take it from `edge-gpu waldur register`"
        )
    wrong = [mode for mode in modes if mode not in MODES]
    if not modes or wrong:
        raise ValueError(f"WaldurAgent {id_}: modes are {list(modes)}; allowed are {', '.join(MODES)}, at least one")
