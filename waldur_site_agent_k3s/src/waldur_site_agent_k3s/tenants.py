"""Tenants: the namespaces that Waldur owns, from their making to their end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

from waldur_site_agent_k3s import pausing
from waldur_site_agent_k3s.kubernetes_api import KubernetesApi, KubernetesError, Object, wait_until
from waldur_site_agent_k3s.objects import (
    State,
    limit_range,
    network_policies,
    quota_hard,
    resource_quota,
)
from waldur_site_agent_k3s.ownership import (
    CUSTOMER_LABEL,
    IMPORT_LABEL,
    LIMITS_ANNOTATION,
    MANAGED_BY,
    MANAGER,
    NAME_ANNOTATION,
    OFFERING_LABEL,
    PROJECT_LABEL,
    PROJECT_SLUG_ANNOTATION,
    RESOURCE_LABEL,
    SINCE_ANNOTATION,
    STATE_ANNOTATION,
    check_name,
)
from waldur_site_agent_k3s.settings import K3sSettings

_POD_SECURITY = "pod-security.kubernetes.io/enforce"


class ForeignNamespaceError(Exception):
    """The namespace is not Waldur's, or another resource's; nothing was changed."""


class TerminatingError(Exception):
    """The namespace is being deleted: try again later."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A resource of Waldur, as its namespace names it. UUIDs in hexadecimal digits without dashes."""

    resource: str
    name: str
    project: str
    project_slug: str
    customer: str
    offering: str


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A namespace that Waldur owns.

    Attributes:
        name: the namespace's.
        uid: the namespace's.
        resource: UUID of its resource in Waldur.
        project_slug: of its project in Waldur.
        limits: component -> what was bought, in Waldur's units.
        state: normal, downscaled or paused.
        since: when it began.
        terminating: it is being deleted.
    """

    name: str
    uid: str
    resource: str
    project_slug: str
    limits: Mapping[str, int]
    state: State
    since: datetime
    terminating: bool


class Tenants:
    """The tenants of one offering's cluster.

    Args:
        api: the cluster.
        settings: the offering's.
        components: the offering's components that have a place in the quota, with their `unit_factor`.
    """

    def __init__(self, api: KubernetesApi, *, settings: K3sSettings, components: Mapping[str, float]) -> None:
        self._api = api
        self._settings = settings
        self._components = components

    def find(self, name: str, *, resource: str | None = None) -> Tenant | None:
        """The tenant of a namespace, or None when there is no such namespace.

        Raises:
            ForeignNamespaceError: the namespace lacks Waldur's label, or is not this resource's.
        """
        namespace = self._api.get("Namespace", name)
        if namespace is None:
            return None
        if not _is_owned(namespace):
            raise ForeignNamespaceError(
                f"namespace {name} exists and is not Waldur's: it lacks the labels {MANAGED_BY}={MANAGER} and "
                f"{RESOURCE_LABEL}. It is left alone. Fix: give the resource another slug in Waldur, set "
                f"allocation_prefix, or hand the namespace over with the label {IMPORT_LABEL}=<slug of a project>"
            )
        tenant = _tenant(namespace)
        if resource is not None and tenant.resource != resource:
            raise ForeignNamespaceError(
                f"namespace {name} belongs to Waldur's resource {tenant.resource}, not to {resource}. "
                "It is left alone. Fix: give one of both another slug in Waldur"
            )
        return tenant

    def all(self) -> list[Tenant]:
        """Every tenant."""
        found = self._api.list("Namespace", selector=f"{MANAGED_BY}={MANAGER},{RESOURCE_LABEL}")
        return [_tenant(namespace) for namespace in found]

    def importable(self) -> dict[str, str]:
        """Namespaces that the cluster's administrator hands over: name -> slug of the Waldur project."""
        found = self._api.list("Namespace", selector=f"{IMPORT_LABEL},!{RESOURCE_LABEL}")
        return {one["metadata"]["name"]: one["metadata"]["labels"][IMPORT_LABEL] for one in found if _is_free(one)}

    def create(self, name: str, *, owner: Owner, limits: Mapping[str, int]) -> Tenant:
        """Make the tenant, or complete one of this resource that an interruption left half made.

        Raises:
            ForeignNamespaceError: the name is taken.
            TerminatingError: the namespace of that name is still being deleted.
            ValueError: it is no name of a namespace.
        """
        check_name(name)
        tenant = self.find(name, resource=owner.resource)
        if tenant is None:
            tenant = self._make(name, owner=owner, limits=limits)
        if tenant.terminating:
            raise TerminatingError(f"namespace {name} is still being deleted")
        if dict(tenant.limits) != dict(limits):
            return self.set_limits(tenant, limits)
        self.ensure(tenant)
        return tenant

    def adopt(self, name: str, *, owner: Owner, limits: Mapping[str, int]) -> Tenant:
        """Take over a namespace that its administrator labelled for the owner's project.

        Raises:
            ForeignNamespaceError: it is not labelled so.
        """
        check_name(name)
        namespace = self._api.get("Namespace", name)
        if namespace is None or not _is_free(namespace) or _label(namespace, IMPORT_LABEL) != owner.project_slug:
            raise ForeignNamespaceError(
                f"namespace {name} cannot be imported into Waldur's project {owner.project_slug}. "
                f"Fix: kubectl label namespace {name} {IMPORT_LABEL}={owner.project_slug}"
            )
        metadata = self._metadata(owner=owner, limits=limits)
        # Together with the resourceVersion: nobody relabelled it since it was read.
        metadata["resourceVersion"] = namespace["metadata"]["resourceVersion"]
        tenant = _tenant(self._api.patch("Namespace", name, {"metadata": metadata}))
        self.ensure(tenant)
        return tenant

    def ensure(self, tenant: Tenant) -> None:
        """Make quota, limit range and network policies what they must be; nothing changes when they are."""
        hard = quota_hard(
            {name: round(tenant.limits.get(name, 0) * factor) for name, factor in self._components.items()},
            components=list(self._components),
            quotas=self._settings.quota_keys(),
            extra=self._settings.extra_quota,
            state=tenant.state,
        )
        # The quota first: while one of the others is missing, no pod is there yet.
        self._api.apply(resource_quota(tenant.name, resource=tenant.resource, hard=hard))
        self._api.apply(limit_range(tenant.name, resource=tenant.resource, defaults=self._settings.container_defaults))
        denied = self._settings.egress_denied
        for policy in network_policies(tenant.name, resource=tenant.resource, egress_denied=denied):
            self._api.apply(policy)

    def set_limits(self, tenant: Tenant, limits: Mapping[str, int]) -> Tenant:
        """Change what was bought. Running pods above a lower limit go on; no new one is admitted."""
        changed = self._annotate(tenant, LIMITS_ANNOTATION, _json(limits))
        self.ensure(changed)
        return changed

    def pause(self, tenant: Tenant) -> Tenant:
        """Admit nothing, and stop what runs. Run again it stops what came since."""
        paused = self._set_state(tenant, "paused")
        self.ensure(paused)
        pausing.stop(self._api, tenant.name, timeout_seconds=self._settings.delete_timeout_seconds)
        return paused

    def downscale(self, tenant: Tenant) -> Tenant:
        """Admit no new GPU pod; what runs goes on."""
        if tenant.state == "paused":
            tenant = self.resume(tenant)
        downscaled = self._set_state(tenant, "downscaled")
        self.ensure(downscaled)
        return downscaled

    def resume(self, tenant: Tenant) -> Tenant:
        """Give back the quota, then what was stopped. The state changes last: an interrupted resume goes on."""
        self.ensure(_with_state(tenant, "normal"))
        if tenant.state == "paused":
            pausing.start(self._api, tenant.name)
        return self._set_state(tenant, "normal")

    def delete(self, tenant: Tenant) -> None:
        """Delete the namespace with all in it, and wait until it is gone.

        Raises:
            TerminatingError: it is still there at the end of the time; with what holds it.
        """
        self._api.delete("Namespace", tenant.name, uid=tenant.uid)

        def gone() -> bool:
            found = self._api.get("Namespace", tenant.name)
            return found is None or found["metadata"]["uid"] != tenant.uid

        if not wait_until(gone, seconds=self._settings.delete_timeout_seconds):
            left = self._api.get("Namespace", tenant.name) or {}
            conditions = left.get("status", {}).get("conditions", ())
            held = [
                one["message"] for one in conditions if one["status"] == "True" and one["type"].endswith("Remaining")
            ]
            raise TerminatingError(
                f"namespace {tenant.name} is still being deleted after {self._settings.delete_timeout_seconds} s"
                + (f": {'; '.join(held)}" if held else "")
            )

    def _make(self, name: str, *, owner: Owner, limits: Mapping[str, int]) -> Tenant:
        metadata = {"name": name, **self._metadata(owner=owner, limits=limits)}
        try:
            made = self._api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        except KubernetesError as error:
            if error.status != 409:
                raise
            found = self.find(name, resource=owner.resource)
            if found is None:
                raise
            return found
        return _tenant(made)

    def _metadata(self, *, owner: Owner, limits: Mapping[str, int]) -> Object:
        return {
            "labels": {
                MANAGED_BY: MANAGER,
                RESOURCE_LABEL: owner.resource,
                PROJECT_LABEL: owner.project,
                CUSTOMER_LABEL: owner.customer,
                OFFERING_LABEL: owner.offering,
                _POD_SECURITY: self._settings.pod_security,
            },
            "annotations": {
                NAME_ANNOTATION: owner.name,
                PROJECT_SLUG_ANNOTATION: owner.project_slug,
                LIMITS_ANNOTATION: _json(limits),
                STATE_ANNOTATION: "normal",
                SINCE_ANNOTATION: datetime.now(UTC).isoformat(timespec="seconds"),
            },
        }

    def _set_state(self, tenant: Tenant, state: State) -> Tenant:
        return tenant if tenant.state == state else self._annotate(tenant, STATE_ANNOTATION, state)

    def _annotate(self, tenant: Tenant, name: str, value: str) -> Tenant:
        return _tenant(self._api.patch("Namespace", tenant.name, {"metadata": {"annotations": {name: value}}}))


def _is_owned(namespace: Object) -> bool:
    return _label(namespace, MANAGED_BY) == MANAGER and bool(_label(namespace, RESOURCE_LABEL))


def _is_free(namespace: Object) -> bool:
    try:
        check_name(namespace["metadata"]["name"])
    except ValueError:
        return False
    # Whoever else manages it (Terraform, Helm) would undo what Waldur changes.
    managed_by_other = _label(namespace, MANAGED_BY) not in ("", MANAGER)
    terminating = "deletionTimestamp" in namespace["metadata"]
    return not managed_by_other and not terminating and not _label(namespace, RESOURCE_LABEL)


def _label(namespace: Object, name: str) -> str:
    return str((namespace["metadata"].get("labels") or {}).get(name, ""))


def _tenant(namespace: Object) -> Tenant:
    metadata = namespace["metadata"]
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    name = metadata["name"]
    state = annotations.get(STATE_ANNOTATION, "normal")
    if state not in get_args(State):
        raise ForeignNamespaceError(f"namespace {name}: {STATE_ANNOTATION}={state!r}, allowed: {get_args(State)}")
    try:
        limits = {str(key): int(value) for key, value in json.loads(annotations[LIMITS_ANNOTATION]).items()}
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ForeignNamespaceError(
            f"namespace {name}: the annotation {LIMITS_ANNOTATION} is missing or broken ({error}). "
            'Fix: set it to what was bought, for example {"gpu": 1}'
        ) from error
    return Tenant(
        name=name,
        uid=metadata["uid"],
        resource=metadata["labels"][RESOURCE_LABEL],
        project_slug=annotations.get(PROJECT_SLUG_ANNOTATION, ""),
        limits=limits,
        state=state,  # type: ignore[arg-type]  # Checked above.
        since=datetime.fromisoformat(annotations.get(SINCE_ANNOTATION, metadata["creationTimestamp"])),
        terminating="deletionTimestamp" in metadata,
    )


def _with_state(tenant: Tenant, state: State) -> Tenant:
    return Tenant(**{**tenant.__dict__, "state": state})


def _json(limits: Mapping[str, int]) -> str:
    return json.dumps(dict(limits), sort_keys=True)
