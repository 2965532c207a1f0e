"""What a tenant's namespace holds besides the tenant's own: plain objects, made from limits and settings alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from waldur_site_agent_k3s.kubernetes_api import Object
from waldur_site_agent_k3s.ownership import (
    EXPIRES_ANNOTATION,
    MANAGED_BY,
    MANAGER,
    RESOURCE_LABEL,
    USER_LABEL,
    USERNAME_ANNOTATION,
    role_binding_name,
)
from waldur_site_agent_k3s.settings import DEFAULT_QUOTAS, ContainerDefaults, QuotaKeys

State = Literal["normal", "downscaled", "paused"]

NAME = "waldur"
_ALWAYS_LIMITED = ("gpu", "gpu_shared")
_KEPT_WHILE_PAUSED = "requests.storage"


def quota_hard(
    limits: Mapping[str, int],
    *,
    components: Sequence[str],
    quotas: Mapping[str, QuotaKeys],
    extra: Mapping[str, str],
    state: State,
) -> dict[str, str]:
    """The `hard` of the ResourceQuota.

    Args:
        limits: component -> what was bought, in the quota's units.
        components: those of the offering that have a place in the quota. One that is not in `limits` gets 0; GPUs do
            even when the offering does not sell them.
        quotas: component -> keys.
        extra: further entries.
        state: `downscaled` takes the GPUs; `paused` all but the storage that is in use.
    """
    hard: dict[str, str] = {}
    for component in (*_ALWAYS_LIMITED, *components):
        place = quotas.get(component, DEFAULT_QUOTAS.get(component))
        if place is None:
            continue
        for key in place.keys:
            # Extended resources alone have a slash in their name.
            taken = key != _KEPT_WHILE_PAUSED if state == "paused" else state == "downscaled" and "/" in key
            amount = 0 if taken else int(limits.get(component, 0))
            hard[key] = f"{amount}{place.suffix}" if amount else "0"
    hard.update(extra)
    if state == "paused":
        hard["pods"] = "0"
    return hard


def resource_quota(namespace: str, *, resource: str, hard: Mapping[str, str]) -> Object:
    """The ResourceQuota."""
    return _object("v1", "ResourceQuota", NAME, namespace, resource, spec={"hard": dict(hard)})


def limit_range(namespace: str, *, resource: str, defaults: ContainerDefaults) -> Object:
    """The LimitRange."""
    limits = {
        "type": "Container",
        "default": {"cpu": defaults.limit_cpu, "memory": defaults.limit_memory},
        "defaultRequest": {"cpu": defaults.request_cpu, "memory": defaults.request_memory},
    }
    return _object("v1", "LimitRange", NAME, namespace, resource, spec={"limits": [limits]})


def network_policies(namespace: str, *, resource: str, egress_denied: Sequence[str]) -> list[Object]:
    """Nothing in or out, then what a tenant needs: its own pods, names, and the world outside the private networks."""
    dns = {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            }
        ],
        "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
    }
    own: Object = {"podSelector": {}}
    world = [{"to": [{"ipBlock": block}]} for block in _outside(egress_denied)]
    specs: dict[str, Object] = {
        f"{NAME}-default-deny": {"policyTypes": ["Ingress", "Egress"]},
        f"{NAME}-allow-own-namespace": {
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [own]}],
            "egress": [{"to": [own]}, dns],
        },
        f"{NAME}-allow-outside": {"policyTypes": ["Egress"], "egress": world},
    }
    api = "networking.k8s.io/v1"
    return [
        _object(api, "NetworkPolicy", name, namespace, resource, spec={"podSelector": {}, **spec})
        for name, spec in specs.items()
    ]


def role_binding(
    namespace: str, *, resource: str, username: str, subject: str, role: str, expires: datetime | None
) -> Object:
    """The RoleBinding of one member of the team.

    Args:
        namespace: the tenant's.
        resource: the Waldur resource's UUID.
        username: as Waldur names the user.
        subject: as the API server does.
        role: a ClusterRole.
        expires: when it is to be taken away, or None.
    """
    made = _object("rbac.authorization.k8s.io/v1", "RoleBinding", role_binding_name(username), namespace, resource)
    made["metadata"]["labels"][USER_LABEL] = role_binding_name(username).rpartition("-")[2]
    made["metadata"]["annotations"] = {USERNAME_ANNOTATION: username}
    if expires is not None:
        made["metadata"]["annotations"][EXPIRES_ANNOTATION] = expires.isoformat()
    made["roleRef"] = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    made["subjects"] = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": subject}]
    return made


def _object(
    api_version: str, kind: str, name: str, namespace: str, resource: str, *, spec: Object | None = None
) -> Object:
    labels = {MANAGED_BY: MANAGER, RESOURCE_LABEL: resource}
    made: Object = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
    }
    if spec is not None:
        made["spec"] = spec
    return made


def _outside(denied: Sequence[str]) -> list[Object]:
    networks = [ipaddress.ip_network(text) for text in denied]
    except_by_version = {version: [str(one) for one in networks if one.version == version] for version in (4, 6)}
    return [
        {"cidr": "0.0.0.0/0", "except": except_by_version[4]},
        {"cidr": "::/0", "except": [*except_by_version[6], "fc00::/7", "fe80::/10"]},
    ]
