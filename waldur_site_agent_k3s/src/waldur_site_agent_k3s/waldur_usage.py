"""Usage written to Waldur: the month's absolute value, never negative, never less than before, read back afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

import httpx
from waldur_api_client import AuthenticatedClient
from waldur_api_client.api.marketplace_component_usages import (
    marketplace_component_usages_list,
    marketplace_component_usages_set_usage,
)
from waldur_api_client.api.marketplace_provider_resources import marketplace_provider_resources_team_list
from waldur_api_client.errors import UnexpectedStatus
from waldur_api_client.models import ComponentUsageCreateRequest, ComponentUsageItemRequest

_TIMEOUT_SECONDS = 60.0


class WaldurError(Exception):
    """Waldur refused, did not answer, or answered something else than what was written."""


def connect(api_url: str, *, token: str) -> AuthenticatedClient:
    """The official client.

    Args:
        api_url: Waldur's, with or without `/api/`.
        token: a user's token, or a personal access token, which begins with `w_`.
    """
    return AuthenticatedClient(
        base_url=api_url.rstrip("/").removesuffix("/api"),
        token=token,
        prefix="Bearer" if token.startswith("w_") else "Token",
        timeout=httpx.Timeout(_TIMEOUT_SECONDS),
    )


@dataclass(frozen=True, kw_only=True)
class WaldurAccess:
    """What the agent does not do for its backends.

    Attributes:
        api_url: Waldur's.
        token_file: holds the token alone; read anew each time, since it may be replaced.
    """

    api_url: str
    token_file: Path

    def client(self) -> AuthenticatedClient:
        """The official client with the token of now.

        Raises:
            WaldurError: the file cannot be read or is empty.
        """
        try:
            token = self.token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise WaldurError(f"the token file {self.token_file} cannot be read: {error.strerror}") from error
        if not token:
            raise WaldurError(f"the token file {self.token_file} is empty")
        return connect(self.api_url, token=token)

    def expiry(self, resource: str) -> dict[str, datetime]:
        """When members of the resource's team lose their access: user name at the offering -> time; others have no end.

        Raises:
            WaldurError: Waldur does not answer.
        """
        try:
            team = marketplace_provider_resources_team_list.sync_all(client=self.client(), uuid=UUID(resource))
        except (httpx.HTTPError, UnexpectedStatus, KeyError, ValueError) as error:
            raise WaldurError(f"the team of resource {resource}: {error}") from error
        return {
            member.offering_user_username: member.expiration_time
            for member in team
            if member.offering_user_username and member.expiration_time
        }

    def write(self, *, resource: str, amounts: Mapping[str, float], month: date, description: str) -> None:
        """Write the usage of the current month.

        Args:
            resource: UUID.
            amounts: component -> absolute value since the month's start.
            month: its first day, by the clock the amounts were measured with.
            description: shown in Waldur.

        Raises:
            WaldurError: Waldur does not answer, its clock is in another month, an amount is negative or below what
                is written already, or what can be read back is something else.
        """
        write_usage(self.client(), resource=resource, amounts=amounts, month=month, description=description)


def write_usage(
    client: AuthenticatedClient, *, resource: str, amounts: Mapping[str, float], month: date, description: str
) -> None:
    """See WaldurAccess.write()."""
    try:
        before = _read(client, resource=resource, month=month, see_clock=True)
        for component, amount in amounts.items():
            if amount < 0:
                raise WaldurError(f"resource {resource}: {component} {amount} is negative; nothing was written")
            if amount < before.get(component, 0.0):
                raise WaldurError(
                    f"resource {resource}: {component} {amount:.2f} is less than Waldur's {before[component]:.2f} "
                    f"of {month:%Y-%m}; nothing was written. Fix: see whether Prometheus lost data of this month"
                )
        wanted = {component: f"{amount:.2f}" for component, amount in amounts.items()}
        if all(component in before and f"{before[component]:.2f}" == text for component, text in wanted.items()):
            return
        marketplace_component_usages_set_usage.sync_detailed(
            client=client,
            body=ComponentUsageCreateRequest(
                resource=UUID(resource),
                usages=[
                    ComponentUsageItemRequest(type_=component, amount=text, description=description)
                    for component, text in wanted.items()
                ],
            ),
        )
        after = _read(client, resource=resource, month=month, see_clock=False)
    except (httpx.HTTPError, UnexpectedStatus, KeyError, ValueError) as error:
        raise WaldurError(f"usage of resource {resource}: {error}") from error
    wrong = {component: text for component, text in wanted.items() if f"{after.get(component, -1.0):.2f}" != text}
    if wrong:
        read = {component: after.get(component) for component in wrong}
        raise WaldurError(f"resource {resource}, {month:%Y-%m}: wrote {wrong}, read back {read}")


def _read(client: AuthenticatedClient, *, resource: str, month: date, see_clock: bool) -> dict[str, float]:
    answer = marketplace_component_usages_list.sync_detailed(
        client=client, resource_uuid=UUID(resource), billing_period=month, page_size=100
    )
    if see_clock and "date" in answer.headers:
        # Without a date Waldur files usage under the month of its own clock.
        theirs = parsedate_to_datetime(answer.headers["date"])
        if (theirs.year, theirs.month) != (month.year, month.month) and answer.status_code == HTTPStatus.OK:
            raise WaldurError(
                f"it is {theirs:%Y-%m-%d %H:%M} UTC at Waldur and {datetime.now(UTC):%Y-%m-%d %H:%M} UTC here, with "
                f"usage of {month:%Y-%m}; nothing was written. Fix: set the clock, or wait for the month's turn to pass"
            )
    found: dict[str, float] = {}
    for usage in answer.parsed or ():
        if usage.type_ and usage.usage is not None and usage.billing_period == month:
            found[str(usage.type_)] = float(usage.usage)
    return found
