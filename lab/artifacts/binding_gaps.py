"""What the prebuilt bindings do not say about their plugins' schemas, by path."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gap:
    """What is missing about one path.

    Attributes:
        version: schema version of a type (default 0): with it, a state written by a stand-in is readable by the plugin.
        sensitive, write_only, deprecated: as in Terraform's schema (default False).
        nesting: "set" where bindings show a one-element set as a list (default: what the bindings say).
    """

    version: int = 0
    sensitive: bool = False
    write_only: bool = False
    deprecated: bool = False
    nesting: str | None = None


GAPS: dict[str, dict[str, Gap]] = {
    "kubernetes": {
        "kubernetes_daemon_set_v1": Gap(version=1),
        "kubernetes_deployment_v1": Gap(version=1),
        "kubernetes_job_v1": Gap(version=1),
        "kubernetes_pod_v1": Gap(version=1),
        "kubernetes_service_v1": Gap(version=1),
        "data.kubernetes_resource": Gap(version=1),
        "data.kubernetes_resources": Gap(version=1),
        "kubernetes_secret_v1.binary_data": Gap(sensitive=True),
        "kubernetes_secret_v1.data": Gap(sensitive=True),
        "kubernetes_secret_v1.binary_data_wo": Gap(write_only=True),
        "kubernetes_secret_v1.data_wo": Gap(write_only=True),
        "kubernetes_service_account_v1.default_secret_name": Gap(deprecated=True),
        "provider.experiments.manifest_resource": Gap(deprecated=True),
    },
    "helm": {
        "helm_release": Gap(version=2),
        "helm_release.repository_password": Gap(sensitive=True),
        "helm_release.set_sensitive.value": Gap(sensitive=True),
        "helm_release.set_wo": Gap(write_only=True),
        "helm_release.set_wo.name": Gap(write_only=True),
        "helm_release.set_wo.type": Gap(write_only=True),
        "helm_release.set_wo.value": Gap(write_only=True),
        "data.helm_template.repository_password": Gap(sensitive=True),
        "data.helm_template.set_sensitive.value": Gap(sensitive=True),
    },
    "docker": {
        "docker_container": Gap(version=2),
        "docker_network": Gap(version=1),
        "docker_volume": Gap(version=1),
        "docker_container.capabilities": Gap(nesting="set"),
        "docker_image.build": Gap(nesting="set"),
        "docker_network.check_duplicate": Gap(deprecated=True),
        "docker_registry_image.auth_config.password": Gap(sensitive=True),
        "provider.registry_auth.password": Gap(sensitive=True),
    },
}
