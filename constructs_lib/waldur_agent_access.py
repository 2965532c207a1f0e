"""What waldur-site-agent with the backend `k3s` may do in the cluster: what the backend calls, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

BINDABLE_ROLES = ("admin", "edit", "view")
"""ClusterRoles that it may give to members of a team."""


def agent_rules(*, bindable_roles: Sequence[str] = BINDABLE_ROLES) -> list[Mapping[str, list[str]]]:
    """The rules of its ClusterRole, with Kubernetes's own field names.

    RBAC knows no labels: these hold for every namespace, and the backend itself refuses those without its label.

    Args:
        bindable_roles: ClusterRoles that members may get, default BINDABLE_ROLES.
    """
    applied = ["get", "create", "patch"]
    return [
        _rule("", ["namespaces"], ["get", "list", "create", "patch", "delete"]),
        _rule("", ["resourcequotas", "limitranges"], applied),
        _rule("networking.k8s.io", ["networkpolicies"], applied),
        _rule("rbac.authorization.k8s.io", ["rolebindings"], ["get", "list", "create", "patch", "delete"]),
        {
            **_rule("rbac.authorization.k8s.io", ["clusterroles"], ["bind"]),
            "resourceNames": list(bindable_roles),
        },
        # Pause and resume.
        _rule("", ["pods"], ["list", "delete"]),
        _rule("", ["replicationcontrollers"], ["list", "patch"]),
        _rule("apps", ["deployments", "statefulsets", "replicasets"], ["list", "patch"]),
        _rule("batch", ["jobs", "cronjobs"], ["list", "patch"]),
    ]


def _rule(group: str, resources: list[str], verbs: list[str]) -> Mapping[str, list[str]]:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}
