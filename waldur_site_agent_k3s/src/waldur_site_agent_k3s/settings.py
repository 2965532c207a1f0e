"""The offering's `backend_settings` in the agent's configuration."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

GIBIBYTES = "Gi"


class QuotaKeys(BaseModel):
    """What a component limits in the namespace's ResourceQuota.

    Attributes:
        keys: keys of the quota's `hard`. Extended resources have only `requests.`.
        suffix: the quantity's unit, default none. A limit of 32 with "Gi" becomes "32Gi".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: tuple[str, ...] = Field(min_length=1)
    suffix: str = ""


class ContainerDefaults(BaseModel):
    """The LimitRange: what a container gets that names nothing, without which a quota on CPU and memory refuses it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    request_cpu: str = "250m"
    request_memory: str = "256Mi"
    limit_cpu: str = "1"
    limit_memory: str = "1Gi"


DEFAULT_QUOTAS = {
    "gpu": QuotaKeys(keys=("requests.nvidia.com/gpu",)),
    "gpu_shared": QuotaKeys(keys=("requests.nvidia.com/gpu.shared",)),
    "cpu": QuotaKeys(keys=("requests.cpu", "limits.cpu")),
    "ram": QuotaKeys(keys=("requests.memory", "limits.memory"), suffix=GIBIBYTES),
    "storage": QuotaKeys(keys=("requests.storage",), suffix=GIBIBYTES),
}

DEFAULT_USAGE = {
    "gpu_hours": "namespace:gpu_allocated:sum",
    "gpu_shared_hours": "namespace:gpu_shared_allocated:sum",
}


class K3sSettings(BaseModel):
    """All settings; each has a default but those of usage, which a component with accounting_type `usage` needs.

    Attributes:
        kubeconfig: file with access to the cluster. Default None: the agent's own ServiceAccount.
        allocation_prefix: begins every namespace's name.
        project_prefix: begins the project's name in an import; the agent's own setting.
        check_backend_id_uniqueness, backend_id_max_retries: the agent's own settings.
        quotas: component -> keys of the ResourceQuota; replaces single defaults. A component that the order does not
            name gets 0, so that what was not bought cannot be used.
        extra_quota: further `hard` entries, for example {"count/services.loadbalancers": "0"}.
        container_defaults: the LimitRange.
        pod_security: Pod Security Standard that the namespace enforces. With "privileged" a tenant's pods reach the
            node's GPUs past the quota.
        egress_denied: networks that tenants' pods do not reach; default the private and link-local ones.
        role_map: a team member's role in Waldur, without `PROJECT.`, lower-case -> ClusterRole.
        default_role: ClusterRole of every other role.
        user_prefix: stands before user names in RoleBindings, for example K3s's `oidc-username-prefix`.
        prometheus_url: where GPU-hours are asked for.
        usage: component -> recorded series of GPUs held, by namespace.
        coverage_series: recorded series that is 1 while kube-state-metrics is seen.
        coverage_minimum: share of the window's minutes that must be covered, or nothing is reported.
        waldur_api_url, waldur_api_token_file: for what the agent does not do: the final usage before a namespace is
            deleted, and the expiry of team members. The file holds the token alone.
        delete_timeout_seconds: when waiting for a namespace to go ends, and again for its pods.
    """

    model_config = ConfigDict(extra="forbid")

    kubeconfig: str | None = None
    allocation_prefix: str = "waldur-"
    project_prefix: str = ""
    check_backend_id_uniqueness: bool = False
    backend_id_max_retries: int = 50
    quotas: dict[str, QuotaKeys] = Field(default_factory=dict)
    extra_quota: dict[str, str] = Field(default_factory=dict)
    container_defaults: ContainerDefaults = ContainerDefaults()
    pod_security: Literal["restricted", "baseline", "privileged"] = "baseline"
    egress_denied: list[str] = Field(
        default_factory=lambda: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"]
    )
    role_map: dict[str, str] = Field(
        default_factory=lambda: {"manager": "admin", "admin": "admin", "member": "edit"},
    )
    default_role: str = "view"
    user_prefix: str = ""
    prometheus_url: str | None = None
    usage: dict[str, str] = Field(default_factory=lambda: dict(DEFAULT_USAGE))
    coverage_series: str = "edge_gpu:kube_state_metrics_up:max"
    coverage_minimum: float = Field(default=0.95, gt=0, le=1)
    waldur_api_url: str | None = None
    waldur_api_token_file: str | None = None
    delete_timeout_seconds: int = Field(default=300, ge=1)

    @model_validator(mode="after")
    def _both_of_waldur(self) -> K3sSettings:
        if (self.waldur_api_url is None) != (self.waldur_api_token_file is None):
            raise ValueError("waldur_api_url and waldur_api_token_file belong together: set both or none")
        return self

    def quota_keys(self) -> dict[str, QuotaKeys]:
        """Component -> keys, the defaults with what `quotas` replaces."""
        return {**DEFAULT_QUOTAS, **self.quotas}

    def role(self, waldur_role: str) -> str:
        """The ClusterRole of a team member's role; Waldur writes it `manager` or `PROJECT.MANAGER`."""
        return self.role_map.get(waldur_role.rpartition(".")[2].lower(), self.default_role)


def read_settings(backend_settings: dict[str, Any], *, components: dict[str, dict[str, Any]]) -> K3sSettings:
    """Check the settings, alone and against the offering's components.

    Raises:
        ValueError: with every mistake, where it stands and what is allowed.
    """
    try:
        settings = K3sSettings.model_validate(backend_settings)
    except ValidationError as error:
        raise ValueError(f"backend_settings of the K3s backend: {error}") from error
    billed = [name for name, component in components.items() if str(component.get("accounting_type")) == "usage"]
    unknown = [name for name in billed if name not in settings.usage]
    if unknown:
        raise ValueError(
            f"components {', '.join(unknown)} are billed by usage, and backend_settings.usage names no series for them"
        )
    limited = [name for name in components if name not in billed]
    unlimited = [name for name in limited if name not in settings.quota_keys()]
    if unlimited:
        raise ValueError(
            f"components {', '.join(unlimited)} have no place in the quota. Fix: backend_settings.quotas, for example "
            f"{{{unlimited[0]}: {{keys: [requests.example.com/{unlimited[0]}]}}}}"
        )
    missing = [
        name for name in ("prometheus_url", "waldur_api_url", "waldur_api_token_file") if not getattr(settings, name)
    ]
    if billed and missing:
        raise ValueError(
            f"components {', '.join(billed)} are billed by usage: backend_settings needs {', '.join(missing)}, "
            "or a tenant's last hours would be lost when it is terminated"
        )
    return settings
