"""The backend that waldur-site-agent loads for offerings with `order_processing_backend: k3s` and its siblings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from waldur_api_client.client import AuthenticatedClient
from waldur_api_client.models.resource import Resource
from waldur_site_agent.backend import logger
from waldur_site_agent.backend.backends import BaseBackend
from waldur_site_agent.backend.exceptions import BackendError, BackendNotReadyError
from waldur_site_agent.backend.structures import BackendResourceInfo

from waldur_site_agent_k3s.gpu_hours import GpuHours, UsageUnknownError
from waldur_site_agent_k3s.kubernetes_api import KubernetesApi, KubernetesError
from waldur_site_agent_k3s.members import Members
from waldur_site_agent_k3s.ownership import namespace_name
from waldur_site_agent_k3s.settings import read_settings
from waldur_site_agent_k3s.tenants import ForeignNamespaceError, Owner, Tenant, Tenants, TerminatingError
from waldur_site_agent_k3s.waldur_usage import WaldurAccess, WaldurError

TOTAL = "TOTAL_ACCOUNT_USAGE"


class K3sBackend(BaseBackend):  # type: ignore[misc]  # The agent carries no types for mypy.
    """One namespace for each resource in Waldur. What was bought in Waldur is put right here, and never the reverse.

    Args:
        backend_settings: see K3sSettings.
        backend_components: the offering's components: `limit` ones go to the quota, `usage` ones are measured.
        api: the cluster. Default None: the one that the settings name.

    Raises:
        BackendError: the settings are wrong or the cluster cannot be reached.
    """

    supports_cycle_preflight = True

    def __init__(
        self,
        backend_settings: dict[str, Any],
        backend_components: dict[str, dict[str, Any]],
        *,
        api: KubernetesApi | None = None,
    ) -> None:
        super().__init__(backend_settings, backend_components)
        self.backend_type = "k3s"
        try:
            self._settings = read_settings(backend_settings, components=backend_components)
            self._api = api or KubernetesApi.connect(self._settings.kubeconfig)
        except (ValueError, KubernetesError) as error:
            raise BackendError(str(error)) from error
        kind = {name: str(component.get("accounting_type")) for name, component in backend_components.items()}
        self._limited = {
            name: float(component.get("unit_factor") or 1)
            for name, component in backend_components.items()
            if kind[name] != "usage"
        }
        self._billed = {name: self._settings.usage[name] for name in backend_components if kind[name] == "usage"}
        self._tenants = Tenants(self._api, settings=self._settings, components=self._limited)
        self._members = Members(self._api, settings=self._settings)
        self._hours = self._settings.prometheus_url and GpuHours(
            url=self._settings.prometheus_url,
            coverage_series=self._settings.coverage_series,
            coverage_minimum=self._settings.coverage_minimum,
        )
        self._waldur = (
            WaldurAccess(api_url=self._settings.waldur_api_url, token_file=Path(self._settings.waldur_api_token_file))
            if self._settings.waldur_api_url and self._settings.waldur_api_token_file
            else None
        )

    # Health

    def ping(self, raise_exception: bool = False) -> bool:
        """Whether the cluster answers."""
        try:
            self._api.version()
        except KubernetesError as error:
            if raise_exception:
                raise BackendError(str(error)) from error
            logger.error("%s", error)
            return False
        return True

    def diagnostics(self) -> bool:
        """Log what the backend sees; whether all of it answers."""
        try:
            logger.info("Kubernetes %s, tenants: %s", self._api.version(), [one.name for one in self._tenants.all()])
        except (KubernetesError, ForeignNamespaceError) as error:
            logger.error("%s", error)
            return False
        if self._hours and not self._hours.reachable():
            logger.error("Prometheus %s does not answer", self._settings.prometheus_url)
            return False
        return True

    def list_components(self) -> list[str]:
        """Components that this backend can limit or measure."""
        return sorted({*self._settings.quota_keys(), *self._settings.usage})

    # Life of a resource

    def _pre_create_resource(self, waldur_resource: Resource, user_context: dict[str, Any] | None = None) -> None:
        """Nothing goes before."""

    def create_resource_with_id(
        self, waldur_resource: Resource, resource_backend_id: str, user_context: dict[str, Any] | None = None
    ) -> BackendResourceInfo:
        """Make the namespace with its quota, or complete one that an interruption left half made."""
        del user_context  # Members come by add_users_to_resource().
        limits = _limits(waldur_resource)
        unknown = [name for name in limits if name not in self.backend_components]
        if unknown:
            raise BackendError(
                f"the order limits {', '.join(unknown)}, which the agent's backend_components do not have; "
                f"they have {', '.join(self.backend_components)}"
            )
        with _as_backend_errors():
            self._tenants.create(resource_backend_id, owner=_owner(waldur_resource), limits=limits)
        return BackendResourceInfo(backend_id=resource_backend_id, limits=limits)

    def delete_resource(self, waldur_resource: Resource, **kwargs: str) -> str | None:
        """Stop the tenant, send its final usage, delete its namespace; with usage that cannot be sent, not yet."""
        del kwargs  # project_slug: projects have no object of their own here.
        name = str(waldur_resource.backend_id or "").strip()
        if not name:
            logger.warning("Resource %s has no backend_id: nothing to delete", waldur_resource.uuid)
            return None
        with _as_backend_errors():
            tenant = self._tenants.find(name, resource=waldur_resource.uuid.hex)
            if tenant is None:
                logger.info("Namespace %s is gone already", name)
                return None
            if not tenant.terminating:
                tenant = self._tenants.pause(tenant)
                self._send_final_usage(tenant)
            self._tenants.delete(tenant)
        return None

    def set_resource_limits(self, resource_backend_id: str, limits: dict[str, int]) -> str | None:
        """Change the quota to what was bought; components not named keep theirs."""
        with _as_backend_errors():
            tenant = self._existing(resource_backend_id)
            known = {name: int(value) for name, value in limits.items() if name in self._limited}
            self._tenants.set_limits(tenant, {**tenant.limits, **known})
        return None

    def get_resource_limits(self, resource_backend_id: str) -> dict[str, int]:
        """What was bought, in Waldur's units, whatever the quota is at the moment."""
        with _as_backend_errors():
            if resource_backend_id in self._tenants.importable():
                return {}
            return dict(self._existing(resource_backend_id).limits)

    def get_resource_user_limits(self, resource_backend_id: str) -> dict[str, dict[str, int]]:
        """None: Kubernetes has no quota by user."""
        del resource_backend_id
        return {}

    def sync_resource_limits(self, waldur_resource: Resource, waldur_rest_client: AuthenticatedClient) -> None:
        """Put the quota right by what Waldur has. The agent's own would write the cluster's numbers into Waldur."""
        del waldur_rest_client
        limits = {name: value for name, value in _limits(waldur_resource).items() if name in self._limited}
        with _as_backend_errors():
            tenant = self._tenants.find(waldur_resource.backend_id, resource=waldur_resource.uuid.hex)
            if tenant is not None and limits and {**tenant.limits, **limits} != dict(tenant.limits):
                self._tenants.set_limits(tenant, {**tenant.limits, **limits})

    def pause_resource(self, resource_backend_id: str) -> bool:
        """Quota 0, workloads scaled down, pods deleted."""
        with _as_backend_errors():
            self._tenants.pause(self._existing(resource_backend_id))
        return True

    def downscale_resource(self, resource_backend_id: str) -> bool:
        """No new GPU pod is admitted; what runs goes on."""
        with _as_backend_errors():
            self._tenants.downscale(self._existing(resource_backend_id))
        return True

    def restore_resource(self, resource_backend_id: str) -> bool:
        """Quota and workloads as they were; called at every sync, so what a tenant changed of ours is put right."""
        with _as_backend_errors():
            self._tenants.resume(self._existing(resource_backend_id))
        return True

    def get_resource_metadata(self, resource_backend_id: str) -> dict[str, str]:
        """Shown with the resource in Waldur."""
        with _as_backend_errors():
            tenant = self._existing(resource_backend_id)
        return {"namespace": tenant.name, "state": tenant.state}

    # What is there

    def list_resources(self) -> list[BackendResourceInfo]:
        """Tenants, and namespaces that are labelled for import; the agent offers those that Waldur does not know."""
        with _as_backend_errors():
            there = {tenant.name: tenant.project_slug for tenant in self._tenants.all()} | self._tenants.importable()
        return [
            BackendResourceInfo(backend_id=name, parent_id=f"{self._settings.project_prefix}{slug}")
            for name, slug in sorted(there.items())
        ]

    def pull_resource(self, waldur_resource: Resource) -> BackendResourceInfo | None:
        """The namespace's members and usage. One labelled for import becomes the tenant of the resource named so."""
        name = str(waldur_resource.backend_id or "").strip()
        if not name:
            logger.warning("Resource %s has no backend_id", waldur_resource.name)
            return None
        with _as_backend_errors():
            if name in self._tenants.importable():
                if not isinstance(waldur_resource.customer_uuid, UUID):
                    # Reports are read without it; the membership sync, which has it, takes the namespace over.
                    logger.info("Namespace %s waits for its import", name)
                    return None
                limits = {key: value for key, value in _limits(waldur_resource).items() if key in self._limited}
                self._tenants.adopt(name, owner=_owner(waldur_resource), limits=limits)
            if self._tenants.find(name, resource=waldur_resource.uuid.hex) is None:
                return None
        return self._pull_backend_resource(name)

    def recreate_missing_resource(self, waldur_resource: Resource) -> bool:
        """Make the namespace anew where the cluster lost it."""
        name = str(waldur_resource.backend_id or "").strip()
        with _as_backend_errors():
            if not name or self._tenants.find(name, resource=waldur_resource.uuid.hex) is not None:
                return False
        self.create_resource_with_id(waldur_resource, name)
        return True

    def _pull_backend_resource(self, resource_backend_id: str) -> BackendResourceInfo | None:
        with _as_backend_errors():
            tenant = self._tenants.find(resource_backend_id)
            if tenant is None or tenant.terminating:
                return None
            self._members.drop_expired(tenant)
            users = self._members.usernames(tenant)
        # Unlike the base class's: unknown usage stays out, where that one would report zero.
        usage = self._get_usage_report([resource_backend_id]).get(resource_backend_id, {})
        return BackendResourceInfo(
            backend_id=tenant.name, users=users, usage=usage, limits=dict(tenant.limits), parent_id=tenant.project_slug
        )

    # Members

    def add_users_to_resource(
        self, waldur_resource: Resource, user_ids: set[str], **kwargs: dict[str, Any]
    ) -> set[str]:
        """Bind users to the ClusterRoles of their roles in Waldur, until their membership ends."""
        return self._bind(waldur_resource, user_ids, roles=kwargs.get("user_roles") or {})

    def add_user(self, waldur_resource: Resource, username: str, **kwargs: str) -> bool:
        """Bind one user."""
        role = str(kwargs.get("role_name") or "")
        return username in self._bind(waldur_resource, {username}, roles={username: role})

    def reconcile_existing_user_roles(
        self,
        waldur_resource: Resource,
        existing_users: set[str],
        user_roles: dict[str, Any],
        user_cuids: dict[str, Any],
    ) -> None:
        """Follow changes of roles and expiry."""
        del user_cuids
        self._bind(waldur_resource, existing_users & set(user_roles), roles=user_roles)

    def remove_user(self, waldur_resource: Resource, username: str, **kwargs: str) -> bool:
        """Take a user's access away."""
        del kwargs
        with _as_backend_errors():
            tenant = self._tenants.find(waldur_resource.backend_id, resource=waldur_resource.uuid.hex)
            if tenant is not None:
                self._members.unbind(tenant, username)
        return True

    def _bind(self, waldur_resource: Resource, usernames: set[str], *, roles: Mapping[str, Any]) -> set[str]:
        named = {name for name in usernames if name}
        if not named:
            return set()
        resource = waldur_resource.uuid.hex
        expiry: Mapping[str, datetime] = {}
        with _as_backend_errors():
            tenant = self._tenants.find(waldur_resource.backend_id, resource=resource)
            if tenant is None:
                raise BackendError(f"namespace {waldur_resource.backend_id} does not exist")
            if self._waldur is not None:
                expiry = self._waldur.expiry(resource)
            bound = set()
            for name in sorted(named):
                if self._members.bind(tenant, name, role=str(roles.get(name, "")), expires=expiry.get(name)):
                    bound.add(name)
        return bound

    # Usage

    def _get_usage_report(self, resource_backend_ids: list[str]) -> dict[str, dict[str, dict[str, float]]]:
        now = self._now()
        return self._report(resource_backend_ids, start=_month_start(now), end=now)

    def get_usage_report_for_period(
        self, resource_backend_ids: list[str], year: int, month: int, waldur_resource: Resource | None = None
    ) -> dict[str, dict[str, dict[str, float]]]:
        """Usage of a whole earlier month, so that what the last report of it missed is caught up."""
        del waldur_resource
        start = datetime(year, month, 1, tzinfo=self._zone())
        end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=self._zone())
        return self._report(resource_backend_ids, start=start, end=min(end, self._now()))

    def _report(self, names: list[str], *, start: datetime, end: datetime) -> dict[str, dict[str, dict[str, float]]]:
        report = {}
        for name in names:
            try:
                with _as_backend_errors():
                    tenant = self._existing(name)
                amounts = self._amounts(tenant, start=start, end=end)
            except (UsageUnknownError, BackendError) as error:
                logger.error("Usage of %s is not reported: %s", name, error)
                continue
            if amounts:
                report[name] = {TOTAL: amounts}
        return report

    def _amounts(self, tenant: Tenant, *, start: datetime, end: datetime) -> dict[str, float]:
        if not self._hours:
            return {}
        begun = max(start, tenant.since)
        if begun >= end:
            return {}
        return {
            component: self._hours.in_window(series, namespace=tenant.name, start=begun, end=end)
            for component, series in self._billed.items()
        }

    def _send_final_usage(self, tenant: Tenant) -> None:
        if not self._billed or self._waldur is None:
            return
        now = self._now()
        start = _month_start(now)
        try:
            amounts = self._amounts(tenant, start=start, end=now)
            month = date(start.year, start.month, 1)
            self._waldur.write(resource=tenant.resource, amounts=amounts, month=month, description="final usage")
        except (UsageUnknownError, WaldurError) as error:
            if (now - tenant.since).total_seconds() < _TOO_YOUNG_SECONDS:
                logger.info("Namespace %s is too young to have usage: %s", tenant.name, error)
                return
            raise BackendNotReadyError(
                f"namespace {tenant.name} is stopped and kept, because its final usage cannot be sent: {error}"
            ) from error
        logger.info("Final usage of %s: %s", tenant.name, amounts)

    def _existing(self, name: str) -> Tenant:
        tenant = self._tenants.find(name)
        if tenant is None:
            raise BackendError(f"namespace {name} does not exist")
        return tenant

    def _get_resource_backend_id(self, resource_slug: str, prefix: str = "") -> str:
        del prefix  # As in the base class.
        try:
            return namespace_name(resource_slug, prefix=self._settings.allocation_prefix)
        except ValueError as error:
            raise BackendError(str(error)) from error

    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone or "UTC")

    def _now(self) -> datetime:
        return datetime.now(UTC).astimezone(self._zone())

    # No account, no API key

    def _collect_resource_limits(self, waldur_resource: Resource) -> tuple[dict[str, int], dict[str, int]]:
        limits = _limits(waldur_resource)
        return {name: round(limits.get(name, 0) * factor) for name, factor in self._limited.items()}, limits


_TOO_YOUNG_SECONDS = 180


@contextlib.contextmanager
def _as_backend_errors() -> Iterator[None]:
    """What the agent knows: BackendNotReadyError leaves an order as it is, BackendError marks it erred."""
    try:
        yield
    except TerminatingError as error:
        raise BackendNotReadyError(str(error)) from error
    except KubernetesError as error:
        # Without an answer, or with one of an overloaded server, the order is tried again.
        if error.status == 0 or error.status >= 500 or error.status == 429:
            raise BackendNotReadyError(str(error)) from error
        raise BackendError(str(error)) from error
    except (ForeignNamespaceError, ValueError, WaldurError) as error:
        raise BackendError(str(error)) from error


def _limits(waldur_resource: Resource) -> dict[str, int]:
    limits = waldur_resource.limits
    return {str(name): int(value) for name, value in limits.to_dict().items()} if limits else {}


def _owner(waldur_resource: Resource) -> Owner:
    return Owner(
        resource=waldur_resource.uuid.hex,
        name=str(waldur_resource.name),
        project=_hex(waldur_resource.project_uuid),
        project_slug=str(waldur_resource.project_slug),
        customer=_hex(waldur_resource.customer_uuid),
        offering=_hex(waldur_resource.offering_uuid),
    )


def _hex(value: Any) -> str:
    # The agent asks Waldur for some fields alone; the others are not there.
    return value.hex if isinstance(value, UUID) else ""


def _month_start(now: datetime) -> datetime:
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
