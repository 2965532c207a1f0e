"""The Terraform provider bindings this library uses: a module that knows their package names."""

from __future__ import annotations

from constructs_lib.lazy_import import lazy_package

lazy_package("cdktf_cdktf_provider_kubernetes")
lazy_package("cdktf_cdktf_provider_helm")

from cdktf_cdktf_provider_helm.provider import HelmProvider, HelmProviderKubernetes  # noqa: E402
from cdktf_cdktf_provider_helm.release import Release  # noqa: E402
from cdktf_cdktf_provider_kubernetes.data_kubernetes_resources import DataKubernetesResources  # noqa: E402
from cdktf_cdktf_provider_kubernetes.job_v1 import (  # noqa: E402
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
from cdktf_cdktf_provider_kubernetes.namespace_v1 import NamespaceV1, NamespaceV1Metadata  # noqa: E402
from cdktf_cdktf_provider_kubernetes.provider import KubernetesProvider  # noqa: E402

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
