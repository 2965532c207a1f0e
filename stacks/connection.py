"""How a stack's providers reach the cluster: by files that exist before the plan."""

from __future__ import annotations

from constructs_lib.cdk import TerraformStack
from constructs_lib.cluster_identity import ClusterIdentity
from constructs_lib.providers import HelmProvider, HelmProviderKubernetes, KubernetesProvider
from constructs_lib.ssh_host import file_contents


def connect_providers(stack: TerraformStack, *, api_url: str, identity: ClusterIdentity) -> None:
    """Add the providers for Kubernetes and Helm.

    Args:
        stack: The stack.
        api_url: The cluster's API.
        identity: Its admin certificate.
    """
    authority = file_contents(identity.admin_ca_path)
    certificate = file_contents(identity.admin_client_cert_path)
    key = file_contents(identity.admin_client_key_path)
    KubernetesProvider(
        stack,
        "kubernetes",
        host=api_url,
        cluster_ca_certificate=authority,
        client_certificate=certificate,
        client_key=key,
    )
    HelmProvider(
        stack,
        "helm",
        kubernetes=HelmProviderKubernetes(
            host=api_url, cluster_ca_certificate=authority, client_certificate=certificate, client_key=key
        ),
    )
