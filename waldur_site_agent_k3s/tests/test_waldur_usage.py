"""Usage written to a stub of Waldur: absolute, never negative, never falling, read back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from stub_waldur import NAME, TOKEN, Entry, StubWaldur, serving

from waldur_site_agent_k3s.waldur_usage import WaldurAccess, WaldurError

NOW = datetime.now(UTC)
MONTH = date(NOW.year, NOW.month, 1)


@pytest.fixture
def waldur() -> Iterator[StubWaldur]:
    """The stub, served."""
    with serving(StubWaldur()) as stub:
        yield stub


@pytest.fixture
def resource(waldur: StubWaldur) -> Entry:
    """A resource that is OK."""
    components = [{"type": "gpu_hours", "billing_type": "usage"}]
    offering = waldur.add("marketplace-provider-offerings", components=components)
    return waldur.add("marketplace-provider-resources", state="OK", offering_uuid=offering["uuid"])


@pytest.fixture
def access(waldur: StubWaldur, tmp_path: Path) -> WaldurAccess:
    """Access to it."""
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    return WaldurAccess(api_url=f"{waldur.url}/api/", token_file=token)


def usages(waldur: StubWaldur) -> list[str]:
    """All usage that is written."""
    return [one["usage"] for one in waldur.all("marketplace-component-usages")]


def write(
    access: WaldurAccess, resource: Entry, amount: float, *, month: date = MONTH, kind: str = "gpu_hours"
) -> None:
    """Write one amount."""
    access.write(resource=resource["uuid"], amounts={kind: amount}, month=month, description="test")


def test_the_months_value_replaces_the_one_before(access: WaldurAccess, waldur: StubWaldur, resource: Entry) -> None:
    for amount in (12.5, 40, 40):
        write(access, resource, amount)
    assert usages(waldur) == ["40.00"]
    assert sum("set_usage" in one for one in waldur.requests) == 2, "what is there already is not written again"


@pytest.mark.parametrize(
    ("amount", "kind", "told"),
    [
        (-1.0, "gpu_hours", "is negative; nothing was written"),
        (39.99, "gpu_hours", r"39.99 is less than Waldur's 40.00 of .*nothing was written"),
        (41.0, "watts", "Component watts is not found"),
    ],
)
def test_a_negative_falling_or_unknown_amount_is_refused(
    amount: float, kind: str, told: str, access: WaldurAccess, waldur: StubWaldur, resource: Entry
) -> None:
    write(access, resource, 40)
    with pytest.raises(WaldurError, match=told):
        write(access, resource, amount, kind=kind)
    assert usages(waldur) == ["40.00"]


def test_with_waldurs_clock_in_another_month_nothing_is_written(
    access: WaldurAccess, waldur: StubWaldur, resource: Entry
) -> None:
    waldur.clock = timedelta(days=40)
    with pytest.raises(WaldurError, match=r"at Waldur and .* here.*nothing was written"):
        write(access, resource, 40)
    assert usages(waldur) == []


def test_what_waldur_files_under_another_month_is_told(
    access: WaldurAccess, waldur: StubWaldur, resource: Entry
) -> None:
    with pytest.raises(WaldurError, match="nothing was written"):
        write(access, resource, 40, month=date(2020, 1, 1))
    assert usages(waldur) == []


@pytest.mark.parametrize(
    ("state", "told"),
    [("Creating", "Resource is not in valid state"), ("Terminated", "Resource is not in valid state")],
)
def test_a_resource_that_is_not_in_use_takes_no_usage(
    state: str, told: str, access: WaldurAccess, waldur: StubWaldur, resource: Entry
) -> None:
    resource["state"] = state
    with pytest.raises(WaldurError, match=told):
        write(access, resource, 1)
    assert usages(waldur) == []


def test_an_expired_token_missing_rights_and_broken_answers_are_told(
    access: WaldurAccess, waldur: StubWaldur, resource: Entry
) -> None:
    waldur.expired = True
    with pytest.raises(WaldurError, match="401"):
        write(access, resource, 1)
    waldur.expired, waldur.rights = False, False
    with pytest.raises(WaldurError, match="403"):
        write(access, resource, 1)
    waldur.rights = True
    for broken in (500, "half"):
        waldur.broken = broken
        with pytest.raises(WaldurError, match=resource["uuid"]):
            write(access, resource, 1)
    waldur.broken = None
    write(access, resource, 1)
    assert usages(waldur) == ["1.00"]


def test_a_waldur_that_is_not_there_is_told(access: WaldurAccess, resource: Entry) -> None:
    gone = WaldurAccess(api_url="http://127.0.0.1:9/api/", token_file=access.token_file)
    with pytest.raises(WaldurError, match="refused"):
        write(gone, resource, 1)


def test_a_token_file_that_is_missing_or_empty_is_told(access: WaldurAccess, resource: Entry, tmp_path: Path) -> None:
    for text in (None, "\n"):
        file = tmp_path / "other"
        if text is not None:
            file.write_text(text)
        with pytest.raises(WaldurError, match=str(file)):
            write(WaldurAccess(api_url=access.api_url, token_file=file), resource, 1)


def test_the_stub_says_that_it_is_one(waldur: StubWaldur) -> None:
    import httpx

    assert httpx.get(waldur.url).headers["server"].startswith(NAME)
    assert "not Waldur" in NAME
