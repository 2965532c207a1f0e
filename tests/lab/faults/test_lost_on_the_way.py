"""Machines that break while their steps run, in one first deploy; the next one goes on where they stopped."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.lab.faults.command import deploy, edge_gpu
from tests.lab.faults.conftest import Recovered
from tests.lab.faults.fault_lab import (
    beside,
    container,
    docker,
    fleet_data,
    fresh_lab,
    on_node,
    ready_nodes,
    restart_node,
    wait_for,
    write_fleet,
)
from tests.lab.faults.leaks import assert_no_leak
from tests.lab.faults.two_deploys import TwoDeploys

LAB = "server-1=server:1 gpu-1=agent:1 agent-1=agent agent-2=agent agent-3=agent"
APT_LOCK_SECONDS = 60
HOLD_APT_LOCK = (
    "setsid perl -MFcntl -e '"
    'open F, ">", "/var/lib/dpkg/lock-frontend" or die; '
    'my $lock = pack("s s x4 q q l x4", F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $lock) or die $!; '
    'open P, ">", "/run/apt-lock-holder" or die; print P $$; close P; sleep 900\' >/dev/null 2>&1 &'
)


@pytest.fixture(scope="module")
def deploys() -> TwoDeploys:
    """All faults in the first deploy, none in the second."""
    fresh_lab(LAB)
    write_fleet(fleet_data())
    on_node("gpu-1", HOLD_APT_LOCK)
    wait_for(lambda: holds_apt_lock("gpu-1"), seconds=10, what="the apt lock to be held")
    running = edge_gpu("deploy")

    def release_apt_lock() -> None:
        running.wait_for_line(r"cluster/gpu-1/machine/toolkit/run: Creating")
        time.sleep(APT_LOCK_SECONDS)
        on_node("gpu-1", "kill $(cat /run/apt-lock-holder)")

    def while_k3s_starts(node: str, action: Callable[[], object]) -> None:
        running.wait_for_line(rf"\| {node} k3s: starting k3s-agent")
        action()

    with beside(
        release_apt_lock,
        lambda: while_k3s_starts("agent-1", lambda: docker("kill", container("agent-1"))),
        lambda: while_k3s_starts("agent-2", lambda: on_node("agent-2", "pkill -KILL -f 'sshd: edge'", check=False)),
        lambda: while_k3s_starts("agent-3", lambda: on_node("agent-3", "systemctl reboot", check=False)),
    ):
        first = running.end()
    ready = ready_nodes()
    restart_node("agent-1")
    return TwoDeploys(first=first, ready_after_first=ready, second=deploy())


def holds_apt_lock(node: str) -> bool:
    return on_node(node, "kill -0 $(cat /run/apt-lock-holder) && echo held", check=False) == "held\n"


@pytest.mark.fault("apt lock held for 60 s")
def test_a_held_apt_lock_is_waited_for(deploys: TwoDeploys, record_property: Callable[[str, object], None]) -> None:
    assert "WARNING node=gpu-1 step=preflight: apt is at work" in deploys.first.told
    assert "ERROR node=gpu-1" not in deploys.first.told
    assert "gpu-1" in deploys.ready_after_first
    began = deploys.first.seconds_until(r"cluster/gpu-1/machine/toolkit/run: Creating")
    ended = deploys.first.seconds_until(r"cluster/gpu-1/machine/toolkit/run: Creation complete")
    assert ended - began >= APT_LOCK_SECONDS, "it did not wait for the lock"
    record_property("seconds", ended - began)


@pytest.mark.fault("node lost in the middle")
def test_a_machine_lost_while_k3s_starts_ends_its_step(deploys: TwoDeploys, recovered: Recovered) -> None:
    deploys.assert_failed_alone("agent-1")
    assert "agent-1: the connection was lost" in deploys.first.told
    recovered("agent-1")


@pytest.mark.fault("sshd killed mid-script")
def test_a_killed_ssh_session_ends_its_step_and_the_next_deploy_goes_on(
    deploys: TwoDeploys, recovered: Recovered
) -> None:
    assert deploys.first.code == 1
    assert "agent-2: the connection was lost" in deploys.first.told
    recovered("agent-2")


@pytest.mark.fault("reboot in the middle")
def test_a_machine_that_reboots_while_k3s_starts_ends_its_step(deploys: TwoDeploys, recovered: Recovered) -> None:
    assert deploys.first.code == 1
    assert "agent-3: the connection was lost" in deploys.first.told
    recovered("agent-3")


def test_all_of_them_leave_no_secret_behind(deploys: TwoDeploys) -> None:
    assert_no_leak(deploys.outputs, nodes=["server-1", "gpu-1", "agent-1", "agent-2", "agent-3"])
