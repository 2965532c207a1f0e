"""Who may use a tenant: a RoleBinding for each member of its team in Waldur, until the membership ends."""

from __future__ import annotations

from datetime import UTC, datetime

from waldur_site_agent_k3s.kubernetes_api import KubernetesApi, Object
from waldur_site_agent_k3s.objects import role_binding
from waldur_site_agent_k3s.ownership import (
    EXPIRES_ANNOTATION,
    MANAGED_BY,
    MANAGER,
    USER_LABEL,
    USERNAME_ANNOTATION,
    role_binding_name,
)
from waldur_site_agent_k3s.settings import K3sSettings
from waldur_site_agent_k3s.tenants import Tenant


class Members:
    """The teams of one cluster's tenants.

    Args:
        api: the cluster.
        settings: the offering's.
    """

    def __init__(self, api: KubernetesApi, *, settings: K3sSettings) -> None:
        self._api = api
        self._settings = settings

    def bind(self, tenant: Tenant, username: str, *, role: str, expires: datetime | None) -> bool:
        """Give a user the ClusterRole of a role in Waldur; whether the user has access now.

        Args:
            tenant: the tenant.
            username: as Waldur names the user.
            role: in Waldur.
            expires: when the membership ends; one that has ended is taken away.
        """
        if expires is not None and expires <= datetime.now(UTC):
            self.unbind(tenant, username)
            return False
        wanted = role_binding(
            tenant.name,
            resource=tenant.resource,
            username=username,
            subject=f"{self._settings.user_prefix}{username}",
            role=self._settings.role(role),
            expires=expires,
        )
        there = self._api.get("RoleBinding", wanted["metadata"]["name"], namespace=tenant.name)
        if there is not None and there["roleRef"]["name"] != wanted["roleRef"]["name"]:
            # Kubernetes lets nobody change a roleRef.
            self.unbind(tenant, username)
        self._api.apply(wanted)
        return True

    def unbind(self, tenant: Tenant, username: str) -> None:
        """Take a user's access away."""
        self._api.delete("RoleBinding", role_binding_name(username), namespace=tenant.name)

    def usernames(self, tenant: Tenant) -> list[str]:
        """Users with access."""
        return [binding["metadata"]["annotations"][USERNAME_ANNOTATION] for binding in self._bindings(tenant)]

    def drop_expired(self, tenant: Tenant) -> list[str]:
        """Take the access of those away whose membership ended, whether or not Waldur can be reached; their names."""
        dropped = []
        for binding in self._bindings(tenant):
            annotations = binding["metadata"]["annotations"]
            expires = annotations.get(EXPIRES_ANNOTATION)
            if expires is not None and datetime.fromisoformat(expires) <= datetime.now(UTC):
                self.unbind(tenant, annotations[USERNAME_ANNOTATION])
                dropped.append(annotations[USERNAME_ANNOTATION])
        return dropped

    def _bindings(self, tenant: Tenant) -> list[Object]:
        found = self._api.list("RoleBinding", namespace=tenant.name, selector=f"{MANAGED_BY}={MANAGER},{USER_LABEL}")
        return [one for one in found if USERNAME_ANNOTATION in (one["metadata"].get("annotations") or {})]
