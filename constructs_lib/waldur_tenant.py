"""A tenant's namespace made by Terraform, for sites that Waldur does not reach."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from constructs_lib.cdk import Construct
from constructs_lib.providers import NamespaceV1, NamespaceV1Metadata
from constructs_lib.tenant_providers import (
    LimitRangeV1,
    LimitRangeV1Metadata,
    LimitRangeV1Spec,
    LimitRangeV1SpecLimit,
    NetworkPolicyV1,
    NetworkPolicyV1Metadata,
    NetworkPolicyV1Spec,
    NetworkPolicyV1SpecEgress,
    NetworkPolicyV1SpecEgressPorts,
    NetworkPolicyV1SpecEgressTo,
    NetworkPolicyV1SpecEgressToNamespaceSelector,
    NetworkPolicyV1SpecEgressToPodSelector,
    NetworkPolicyV1SpecIngress,
    NetworkPolicyV1SpecIngressFrom,
    NetworkPolicyV1SpecIngressFromPodSelector,
    NetworkPolicyV1SpecPodSelector,
    ResourceQuotaV1,
    ResourceQuotaV1Metadata,
    ResourceQuotaV1Spec,
    RoleBindingV1,
    RoleBindingV1Metadata,
    RoleBindingV1RoleRef,
    RoleBindingV1Subject,
)

_NAME = "tenant"
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_API_GROUP = "rbac.authorization.k8s.io"


class WaldurTenant(Construct):
    """Namespace, quota, limit range, network policies and members, as waldur-site-agent would make them.

    For sites without a Waldur, or before there is one. It is Terraform's: it says so in a label, and the agent refuses
    it. Never for a namespace that Waldur sells: the next apply would undo what was bought.

    Args:
        scope: Parent construct.
        id_: Construct id.
        name: Namespace, made by this construct.
        gpus: Whole GPUs that its pods may hold together, 0 or more.
        cpus: Cores, at least 1.
        ram_gib: Memory in GiB, at least 1.
        storage_gib: Sum of its volume claims in GiB, default 0.
        members: User name at the API server -> ClusterRole, default none.

    Attributes:
        namespace: The `kubernetes_namespace_v1` resource.

    Raises:
        ValueError: `name` cannot be a tenant's namespace, or an amount is out of its range.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        name: str,
        gpus: int,
        cpus: int,
        ram_gib: int,
        storage_gib: int = 0,
        members: Mapping[str, Literal["admin", "edit", "view"]] | None = None,
    ) -> None:
        super().__init__(scope, id_)
        if not _NAMESPACE.fullmatch(name) or name == "default" or name.startswith("kube-"):
            raise ValueError(f"WaldurTenant {id_}: {name!r} cannot be a tenant's namespace")
        for what, amount, least in (("gpus", gpus, 0), ("cpus", cpus, 1), ("ram_gib", ram_gib, 1)):
            if amount < least:
                raise ValueError(f"WaldurTenant {id_}: {what} is {amount}; allowed is {least} or more")
        labels = {"app.kubernetes.io/managed-by": "Terraform", "pod-security.kubernetes.io/enforce": "baseline"}
        self.namespace = NamespaceV1(self, "namespace", metadata=NamespaceV1Metadata(name=name, labels=labels))
        hard = {
            "requests.nvidia.com/gpu": str(gpus),
            "requests.nvidia.com/gpu.shared": "0",
            **{f"{kind}.cpu": str(cpus) for kind in ("requests", "limits")},
            **{f"{kind}.memory": f"{ram_gib}Gi" for kind in ("requests", "limits")},
            "requests.storage": f"{storage_gib}Gi",
        }
        ResourceQuotaV1(
            self,
            "quota",
            metadata=ResourceQuotaV1Metadata(name=_NAME, namespace=name),
            spec=ResourceQuotaV1Spec(hard=hard),
            depends_on=[self.namespace],
        )
        LimitRangeV1(
            self,
            "limits",
            metadata=LimitRangeV1Metadata(name=_NAME, namespace=name),
            spec=LimitRangeV1Spec(
                limit=[
                    LimitRangeV1SpecLimit(
                        type="Container",
                        default={"cpu": "1", "memory": "1Gi"},
                        default_request={"cpu": "250m", "memory": "256Mi"},
                    )
                ]
            ),
            depends_on=[self.namespace],
        )
        NetworkPolicyV1(
            self,
            "network",
            metadata=NetworkPolicyV1Metadata(name=_NAME, namespace=name),
            spec=_network(),
            depends_on=[self.namespace],
        )
        for user, role in sorted((members or {}).items()):
            RoleBindingV1(
                self,
                f"member-{user}",
                metadata=RoleBindingV1Metadata(name=f"member-{user}", namespace=name),
                role_ref=RoleBindingV1RoleRef(api_group=_API_GROUP, kind="ClusterRole", name=role),
                subject=[RoleBindingV1Subject(kind="User", name=user, api_group=_API_GROUP)],
                depends_on=[self.namespace],
            )


def _network() -> NetworkPolicyV1Spec:
    """Pods of the namespace among each other, and names; nothing else."""
    dns = NetworkPolicyV1SpecEgressTo(
        namespace_selector=NetworkPolicyV1SpecEgressToNamespaceSelector(
            match_labels={"kubernetes.io/metadata.name": "kube-system"}
        ),
        pod_selector=NetworkPolicyV1SpecEgressToPodSelector(match_labels={"k8s-app": "kube-dns"}),
    )
    ports = [NetworkPolicyV1SpecEgressPorts(protocol=protocol, port="53") for protocol in ("UDP", "TCP")]
    own = NetworkPolicyV1SpecEgressTo(pod_selector=NetworkPolicyV1SpecEgressToPodSelector())
    return NetworkPolicyV1Spec(
        pod_selector=NetworkPolicyV1SpecPodSelector(),
        policy_types=["Ingress", "Egress"],
        ingress=[
            NetworkPolicyV1SpecIngress(
                from_=[NetworkPolicyV1SpecIngressFrom(pod_selector=NetworkPolicyV1SpecIngressFromPodSelector())]
            )
        ],
        egress=[NetworkPolicyV1SpecEgress(to=[own]), NetworkPolicyV1SpecEgress(to=[dns], ports=ports)],
    )
