"""A machine, a download or a mirror that is not what the fleet file says: refused in one first deploy, each alone."""

from __future__ import annotations

import re
from contextlib import ExitStack

import pytest

from tests.lab.faults.command import deploy
from tests.lab.faults.conftest import Recovered
from tests.lab.faults.fault_lab import entry, fleet_data, fresh_lab, on_node, ready_nodes, together, write_fleet
from tests.lab.faults.leaks import assert_no_leak
from tests.lab.faults.mirror import answered_by, damaging_mirror, mirror_down, tampered, truncated
from tests.lab.faults.two_deploys import TwoDeploys

LAB = "server-1=server:1 agent-1=agent agent-2=agent agent-3=agent agent-4=agent"


@pytest.fixture(scope="module")
def deploys() -> TwoDeploys:
    """All faults in the first deploy, none in the second."""
    fresh_lab(LAB)
    data = fleet_data()
    entry(data, "agent-1")["host_key"] = entry(data, "agent-2")["host_key"]
    write_fleet(data)
    with ExitStack() as stack:
        undo = [
            answered_by("agent-2", port=stack.enter_context(damaging_mirror(tampered))),
            answered_by("agent-3", port=stack.enter_context(damaging_mirror(truncated))),
            mirror_down("agent-4"),
        ]
        first = deploy()
        ready = ready_nodes()
        between = {
            "agent-1": on_node("agent-1", "ls -A /home/edge"),
            "agent-2": on_node("agent-2", "ls /usr/local/bin"),
        }
        together(undo)
    write_fleet(fleet_data())
    return TwoDeploys(first=first, ready_after_first=ready, second=deploy(), between=between)


@pytest.mark.fault("wrong host key")
def test_a_host_key_that_is_not_the_fleet_files_is_refused(deploys: TwoDeploys, recovered: Recovered) -> None:
    deploys.assert_failed_alone("agent-1")
    assert "agent-1: its SSH host key is not the fleet file's; nothing was sent" in deploys.first.told
    assert ".ssh" in deploys.between["agent-1"]
    assert ".edge-gpu" not in deploys.between["agent-1"]
    recovered("agent-1")


@pytest.mark.fault("wrong checksum")
def test_a_tampered_download_is_refused_with_both_checksums(deploys: TwoDeploys, recovered: Recovered) -> None:
    deploys.assert_failed_alone("agent-2")
    wanted = fleet_data()["k3s"]["sha256"]["amd64"]
    said = rf"node=agent-2 step=k3s: download of \S+/k3s has the wrong sha256: expected {wanted}, seen [0-9a-f]{{64}}"
    assert re.search(said, deploys.first.told)
    assert "fix: put the published checksum of exactly this file into the fleet file" in deploys.first.told
    assert deploys.between["agent-2"] == "", "the tampered binary was kept"
    recovered("agent-2")


@pytest.mark.fault("truncated download")
def test_half_a_download_is_no_download(deploys: TwoDeploys, recovered: Recovered) -> None:
    deploys.assert_failed_alone("agent-3")
    assert re.search(
        r"node=agent-3 step=k3s: download of \S+/k3s failed cause: curl ended with exit code 18", deploys.first.told
    )
    recovered("agent-3")


@pytest.mark.fault("mirror down, then up")
def test_a_mirror_that_is_down_fails_the_machine_until_it_is_up(deploys: TwoDeploys, recovered: Recovered) -> None:
    deploys.assert_failed_alone("agent-4")
    assert re.search(
        r"node=agent-4 step=k3s: download of \S+/k3s failed cause: curl ended with exit code 7", deploys.first.told
    )
    assert "fix: open the address from this node: curl -IL 'http://" in deploys.first.told
    recovered("agent-4")


def test_all_of_them_leave_no_secret_behind(deploys: TwoDeploys) -> None:
    assert_no_leak(deploys.outputs, nodes=["server-1", "agent-2", "agent-3"])
