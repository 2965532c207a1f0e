"""The Kubernetes provider's bindings for programs inside the cluster; `constructs_lib.providers` has the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.cdk import CORE
from constructs_lib.lazy_import import lazy_package

if TYPE_CHECKING or CORE == "cdktf":
    lazy_package("cdktf_cdktf_provider_kubernetes")

    from cdktf_cdktf_provider_kubernetes.cluster_role_binding_v1 import (
        ClusterRoleBindingV1,
        ClusterRoleBindingV1Metadata,
        ClusterRoleBindingV1RoleRef,
        ClusterRoleBindingV1Subject,
    )
    from cdktf_cdktf_provider_kubernetes.cluster_role_v1 import (
        ClusterRoleV1,
        ClusterRoleV1Metadata,
        ClusterRoleV1Rule,
    )
    from cdktf_cdktf_provider_kubernetes.config_map_v1 import ConfigMapV1, ConfigMapV1Metadata
    from cdktf_cdktf_provider_kubernetes.cron_job_v1 import (
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
    from cdktf_cdktf_provider_kubernetes.deployment_v1 import (
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
    )
    from cdktf_cdktf_provider_kubernetes.service_account_v1 import ServiceAccountV1, ServiceAccountV1Metadata
else:
    lazy_package("cdktn_provider_kubernetes")

    from cdktn_provider_kubernetes.cluster_role_binding_v1 import (
        ClusterRoleBindingV1,
        ClusterRoleBindingV1Metadata,
        ClusterRoleBindingV1RoleRef,
        ClusterRoleBindingV1Subject,
    )
    from cdktn_provider_kubernetes.cluster_role_v1 import (
        ClusterRoleV1,
        ClusterRoleV1Metadata,
        ClusterRoleV1Rule,
    )
    from cdktn_provider_kubernetes.config_map_v1 import ConfigMapV1, ConfigMapV1Metadata
    from cdktn_provider_kubernetes.cron_job_v1 import (
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
    from cdktn_provider_kubernetes.deployment_v1 import (
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
    )
    from cdktn_provider_kubernetes.service_account_v1 import ServiceAccountV1, ServiceAccountV1Metadata

__all__ = [
    "ClusterRoleBindingV1",
    "ClusterRoleBindingV1Metadata",
    "ClusterRoleBindingV1RoleRef",
    "ClusterRoleBindingV1Subject",
    "ClusterRoleV1",
    "ClusterRoleV1Metadata",
    "ClusterRoleV1Rule",
    "ConfigMapV1",
    "ConfigMapV1Metadata",
    "CronJobV1",
    "CronJobV1Metadata",
    "CronJobV1Spec",
    "CronJobV1SpecJobTemplate",
    "CronJobV1SpecJobTemplateMetadata",
    "CronJobV1SpecJobTemplateSpec",
    "CronJobV1SpecJobTemplateSpecTemplate",
    "CronJobV1SpecJobTemplateSpecTemplateMetadata",
    "CronJobV1SpecJobTemplateSpecTemplateSpec",
    "CronJobV1SpecJobTemplateSpecTemplateSpecContainer",
    "CronJobV1SpecJobTemplateSpecTemplateSpecContainerResources",
    "CronJobV1SpecJobTemplateSpecTemplateSpecContainerSecurityContext",
    "CronJobV1SpecJobTemplateSpecTemplateSpecContainerSecurityContextCapabilities",
    "CronJobV1SpecJobTemplateSpecTemplateSpecContainerVolumeMount",
    "CronJobV1SpecJobTemplateSpecTemplateSpecSecurityContext",
    "CronJobV1SpecJobTemplateSpecTemplateSpecVolume",
    "CronJobV1SpecJobTemplateSpecTemplateSpecVolumeConfigMap",
    "CronJobV1SpecJobTemplateSpecTemplateSpecVolumeSecret",
    "DeploymentV1",
    "DeploymentV1Metadata",
    "DeploymentV1Spec",
    "DeploymentV1SpecSelector",
    "DeploymentV1SpecStrategy",
    "DeploymentV1SpecTemplate",
    "DeploymentV1SpecTemplateMetadata",
    "DeploymentV1SpecTemplateSpec",
    "DeploymentV1SpecTemplateSpecContainer",
    "DeploymentV1SpecTemplateSpecContainerResources",
    "DeploymentV1SpecTemplateSpecContainerSecurityContext",
    "DeploymentV1SpecTemplateSpecContainerSecurityContextCapabilities",
    "DeploymentV1SpecTemplateSpecContainerVolumeMount",
    "DeploymentV1SpecTemplateSpecSecurityContext",
    "DeploymentV1SpecTemplateSpecVolume",
    "DeploymentV1SpecTemplateSpecVolumeConfigMap",
    "DeploymentV1SpecTemplateSpecVolumeEmptyDir",
    "DeploymentV1SpecTemplateSpecVolumeSecret",
    "ServiceAccountV1",
    "ServiceAccountV1Metadata",
]
