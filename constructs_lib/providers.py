"""The Terraform provider bindings this library uses: a module that knows their package names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.cdk import CORE
from constructs_lib.lazy_import import lazy_package

if TYPE_CHECKING or CORE == "cdktf":
    lazy_package("cdktf_cdktf_provider_kubernetes")
    lazy_package("cdktf_cdktf_provider_helm")

    from cdktf_cdktf_provider_helm.provider import HelmProvider, HelmProviderKubernetes
    from cdktf_cdktf_provider_helm.release import Release
    from cdktf_cdktf_provider_kubernetes.data_kubernetes_resources import DataKubernetesResources
    from cdktf_cdktf_provider_kubernetes.job_v1 import (
        JobV1,
        JobV1Metadata,
        JobV1Spec,
        JobV1SpecTemplate,
        JobV1SpecTemplateMetadata,
        JobV1SpecTemplateSpec,
        JobV1SpecTemplateSpecContainer,
        JobV1SpecTemplateSpecContainerEnv,
        JobV1SpecTemplateSpecContainerResources,
        JobV1SpecTemplateSpecToleration,
        JobV1Timeouts,
    )
    from cdktf_cdktf_provider_kubernetes.namespace_v1 import NamespaceV1, NamespaceV1Metadata
    from cdktf_cdktf_provider_kubernetes.provider import KubernetesProvider
else:
    lazy_package("cdktn_provider_kubernetes")
    lazy_package("cdktn_provider_helm")

    from cdktn_provider_helm.provider import HelmProvider, HelmProviderKubernetes
    from cdktn_provider_helm.release import Release
    from cdktn_provider_kubernetes.data_kubernetes_resources import DataKubernetesResources
    from cdktn_provider_kubernetes.job_v1 import (
        JobV1,
        JobV1Metadata,
        JobV1Spec,
        JobV1SpecTemplate,
        JobV1SpecTemplateMetadata,
        JobV1SpecTemplateSpec,
        JobV1SpecTemplateSpecContainer,
        JobV1SpecTemplateSpecContainerEnv,
        JobV1SpecTemplateSpecContainerResources,
        JobV1SpecTemplateSpecToleration,
        JobV1Timeouts,
    )
    from cdktn_provider_kubernetes.namespace_v1 import NamespaceV1, NamespaceV1Metadata
    from cdktn_provider_kubernetes.provider import KubernetesProvider

__all__ = [
    "DataKubernetesResources",
    "HelmProvider",
    "HelmProviderKubernetes",
    "JobV1",
    "JobV1Metadata",
    "JobV1Spec",
    "JobV1SpecTemplate",
    "JobV1SpecTemplateMetadata",
    "JobV1SpecTemplateSpec",
    "JobV1SpecTemplateSpecContainer",
    "JobV1SpecTemplateSpecContainerEnv",
    "JobV1SpecTemplateSpecContainerResources",
    "JobV1SpecTemplateSpecToleration",
    "JobV1Timeouts",
    "KubernetesProvider",
    "NamespaceV1",
    "NamespaceV1Metadata",
    "Release",
]
