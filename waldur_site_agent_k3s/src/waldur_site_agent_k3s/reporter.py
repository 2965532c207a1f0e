"""Reports GPU-hours to Waldur without the agent: `python -m waldur_site_agent_k3s.reporter CONFIG`, once an hour.

CONFIG is JSON: api_url, token_file, offering_uuid, prometheus_url, usage (component -> recorded series), and, where the
defaults will not do, timezone, coverage_series and coverage_minimum. A resource's backend_id is its namespace.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from waldur_api_client.api.marketplace_provider_resources import marketplace_provider_resources_list
from waldur_api_client.errors import UnexpectedStatus
from waldur_api_client.models import ResourceState

from waldur_site_agent_k3s.gpu_hours import GpuHours, UsageUnknownError
from waldur_site_agent_k3s.settings import DEFAULT_USAGE
from waldur_site_agent_k3s.waldur_usage import WaldurAccess, WaldurError

_STATES = [ResourceState.OK, ResourceState.ERRED, ResourceState.UPDATING, ResourceState.TERMINATING]


class ReporterSettings(BaseModel):
    """CONFIG."""

    model_config = ConfigDict(extra="forbid")

    api_url: str
    token_file: Path
    offering_uuid: str
    prometheus_url: str
    usage: dict[str, str] = Field(default_factory=lambda: {"gpu_hours": DEFAULT_USAGE["gpu_hours"]}, min_length=1)
    timezone: str = "UTC"
    coverage_series: str = "edge_gpu:kube_state_metrics_up:max"
    coverage_minimum: float = Field(default=0.95, gt=0, le=1)


def main(arguments: list[str]) -> int:
    """Report every resource. Exit code 0, or 1 when one could not be reported; the others are."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 1
    try:
        settings = ReporterSettings.model_validate(json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        told = str(error) if isinstance(error, ValidationError) else f"{arguments[0]}: {error}"
        print(f"error: the reporter's settings: {told}", file=sys.stderr)
        return 1
    try:
        resources = _resources(settings)
    except (WaldurError, httpx.HTTPError, UnexpectedStatus, KeyError, ValueError) as error:
        print(f"error: the offering's resources cannot be read: {error}", file=sys.stderr)
        return 1
    failed = [resource for resource in resources if not report(resource, settings=settings)]
    print(f"{len(resources) - len(failed)} of {len(resources)} resources reported")
    return 1 if failed else 0


def report(resource: Any, *, settings: ReporterSettings) -> bool:
    """Write one resource's usage of the month until now; whether it is written. The reason else goes to stderr."""
    name = resource.backend_id
    now = datetime.now(UTC).astimezone(ZoneInfo(settings.timezone))
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    hours = GpuHours(
        url=settings.prometheus_url,
        coverage_series=settings.coverage_series,
        coverage_minimum=settings.coverage_minimum,
    )
    try:
        begun = max(start, resource.created) if isinstance(resource.created, datetime) else start
        amounts: Mapping[str, float] = {
            component: hours.in_window(series, namespace=name, start=begun, end=now)
            for component, series in settings.usage.items()
        }
        _access(settings).write(
            resource=resource.uuid.hex,
            amounts=amounts,
            month=date(start.year, start.month, 1),
            description="GPU-hours of the month until now, by Prometheus",
        )
    except (UsageUnknownError, WaldurError) as error:
        print(f"error: {name}: {error}", file=sys.stderr)
        return False
    print(f"{name}: {', '.join(f'{component} {amount:.2f}' for component, amount in amounts.items())}")
    return True


def _resources(settings: ReporterSettings) -> list[Any]:
    found = marketplace_provider_resources_list.sync_all(
        client=_access(settings).client(), offering_uuid=[settings.offering_uuid], state=_STATES
    )
    return [resource for resource in found if resource.backend_id]


def _access(settings: ReporterSettings) -> WaldurAccess:
    return WaldurAccess(api_url=settings.api_url, token_file=settings.token_file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
