"""The suite's lab, and the record of its verdicts: `build/faults.json`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import pytest

from scripts.faults import FAULTS_FILE, Verdict, write_verdicts
from tests.lab.faults.fault_lab import lab
from tests.lab.faults.two_deploys import TwoDeploys

Recovered = Callable[[str], None]
"""Asserts that the second deploy brought a node up, and records how long that took."""

_VERDICTS = pytest.StashKey[dict[str, Verdict]]()


@pytest.fixture(scope="session", autouse=True)
def fault_lab() -> Iterator[None]:
    """Each module makes the nodes it needs; none is left at the end."""
    yield
    lab("down")


@pytest.fixture
def recovered(record_property: Callable[[str, object], None], deploys: TwoDeploys) -> Recovered:
    """`deploys` is the test module's own."""
    return lambda node: record_property("seconds", deploys.seconds_to_recover(node))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note each fault's verdict."""
    report = yield
    mark = item.get_closest_marker("fault")
    if mark is not None and (report.when == "call" or not report.passed):
        verdicts = item.config.stash.setdefault(_VERDICTS, {})
        verdicts[mark.args[0]] = _verdict(mark.args[0], item, report, call)
    return report


def _verdict(fault: str, item: pytest.Item, report: pytest.TestReport, call: pytest.CallInfo[None]) -> Verdict:
    seconds = next((value for name, value in item.user_properties if name == "seconds"), report.duration)
    if report.passed:
        return Verdict(fault=fault, verdict="survived", seconds=float(str(seconds)))
    reason = (str(call.excinfo.value) if call.excinfo else str(report.longrepr)).strip() or "failed without a word"
    return Verdict(fault=fault, verdict=reason.splitlines()[0][:200], seconds=float(str(seconds)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what this run found; faults that it left out are not in the file."""
    verdicts = session.config.stash.get(_VERDICTS, {})
    if verdicts:
        write_verdicts(list(verdicts.values()), path=FAULTS_FILE)
