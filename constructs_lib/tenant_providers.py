"""The Kubernetes provider's bindings for a tenant's namespace; `constructs_lib.providers` has the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.cdk import CORE
from constructs_lib.lazy_import import lazy_package

if TYPE_CHECKING or CORE == "cdktf":
    lazy_package("cdktf_cdktf_provider_kubernetes")

    from cdktf_cdktf_provider_kubernetes.limit_range_v1 import (
        LimitRangeV1,
        LimitRangeV1Metadata,
        LimitRangeV1Spec,
        LimitRangeV1SpecLimit,
    )
    from cdktf_cdktf_provider_kubernetes.network_policy_v1 import (
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
    )
    from cdktf_cdktf_provider_kubernetes.resource_quota_v1 import (
        ResourceQuotaV1,
        ResourceQuotaV1Metadata,
        ResourceQuotaV1Spec,
    )
    from cdktf_cdktf_provider_kubernetes.role_binding_v1 import (
        RoleBindingV1,
        RoleBindingV1Metadata,
        RoleBindingV1RoleRef,
        RoleBindingV1Subject,
    )
else:
    lazy_package("cdktn_provider_kubernetes")

    from cdktn_provider_kubernetes.limit_range_v1 import (
        LimitRangeV1,
        LimitRangeV1Metadata,
        LimitRangeV1Spec,
        LimitRangeV1SpecLimit,
    )
    from cdktn_provider_kubernetes.network_policy_v1 import (
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
    )
    from cdktn_provider_kubernetes.resource_quota_v1 import (
        ResourceQuotaV1,
        ResourceQuotaV1Metadata,
        ResourceQuotaV1Spec,
    )
    from cdktn_provider_kubernetes.role_binding_v1 import (
        RoleBindingV1,
        RoleBindingV1Metadata,
        RoleBindingV1RoleRef,
        RoleBindingV1Subject,
    )

__all__ = [
    "LimitRangeV1",
    "LimitRangeV1Metadata",
    "LimitRangeV1Spec",
    "LimitRangeV1SpecLimit",
    "NetworkPolicyV1",
    "NetworkPolicyV1Metadata",
    "NetworkPolicyV1Spec",
    "NetworkPolicyV1SpecEgress",
    "NetworkPolicyV1SpecEgressPorts",
    "NetworkPolicyV1SpecEgressTo",
    "NetworkPolicyV1SpecEgressToNamespaceSelector",
    "NetworkPolicyV1SpecEgressToPodSelector",
    "NetworkPolicyV1SpecIngress",
    "NetworkPolicyV1SpecIngressFrom",
    "NetworkPolicyV1SpecIngressFromPodSelector",
    "NetworkPolicyV1SpecPodSelector",
    "ResourceQuotaV1",
    "ResourceQuotaV1Metadata",
    "ResourceQuotaV1Spec",
    "RoleBindingV1",
    "RoleBindingV1Metadata",
    "RoleBindingV1RoleRef",
    "RoleBindingV1Subject",
]
