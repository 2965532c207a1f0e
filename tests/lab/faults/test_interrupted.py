"""Terraform itself as the fault: two at once, and one that is killed where it can least afford it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.lab.faults.command import Ended, deploy, deploy_well, edge_gpu
from tests.lab.faults.fault_lab import EDGE, fleet_data, fresh_lab, on_node, only, ready_nodes, write_fleet
from tests.lab.faults.leaks import assert_no_leak

# What is printed when a phase of one machine begins, in their order, and how many seconds later its middle is: the
# device plugin's release is there within a second.
PHASES = {
    "preflight": (r"cluster/server-1/machine/preflight/run: Creating", 0.7),
    "driver": (r"cluster/server-1/machine/driver/run: Creating", 0.2),
    "toolkit": (r"cluster/server-1/machine/toolkit/run: Creating", 2.0),
    "K3s on the server": (r"cluster/server-1/node/k3s/run: Creating", 2.0),
    "device plugin": (r"nvidia-device-plugin/release: Creating", 0.1),
    "GPU gate": (r"gpu-check/server-1/gpu-gate/run: Creating", 0.7),
    "GPU check": (r"gpu-check/server-1/job: Creating", 1.0),
}
JOINING = (r"cluster/agent-1/node/k3s/run: Creating", 2.0)


def descendants(pid: int) -> dict[int, str]:
    """Process id and program of everything below a process."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,comm="], capture_output=True, text=True, check=True).stdout
    rows = [
        (int(pid), int(parent), name) for pid, parent, name in (line.split(None, 2) for line in listed.splitlines())
    ]
    found: dict[int, str] = {}
    waiting = {pid}
    while waiting:
        below = {child: name for child, parent, name in rows if parent in waiting}
        found |= below
        waiting = set(below)
    return found


def killed_in(pattern: str, seconds: float) -> Ended:
    """A deploy whose terraform is killed with -9 so long after a line matches."""
    running = edge_gpu("deploy")
    running.wait_for_line(pattern)
    time.sleep(seconds)
    terraforms = [pid for pid, name in descendants(running.process.pid).items() if name == "terraform"]
    assert terraforms, f"no terraform runs at {pattern!r}"
    for pid in terraforms:
        os.kill(pid, signal.SIGKILL)
    return running.end()


@pytest.mark.fault("two deploys at once (state lock)")
def test_a_second_deploy_is_refused_and_does_not_disturb_the_first(
    record_property: Callable[[str, object], None],
) -> None:
    fresh_lab("server-1=server gpu-1=agent:1")
    write_fleet(fleet_data())
    first = edge_gpu("deploy")
    first.wait_for_line(r"\| server-1 k3s: starting k3s")
    second = deploy()
    ended = first.end()
    assert second.code == 1
    assert "Error acquiring the state lock" in second.told
    assert str(EDGE / "terraform.tfstate") in second.told.replace(" ", "")
    assert ended.code == 0, ended.output
    again = deploy_well()
    assert "No changes. Your infrastructure matches the configuration." in again.output
    record_property("seconds", again.seconds)
    assert_no_leak({"first": ended.output, "second": second.output}, nodes=["server-1", "gpu-1"])


@pytest.mark.fault("terraform killed with -9 in the middle of each phase")
def test_the_same_command_goes_on_after_terraform_was_killed(record_property: Callable[[str, object], None]) -> None:
    fresh_lab("server-1=server:1 agent-1=agent")
    killed = {}
    # One machine first: its phases come one after the other, so that none is over before it is killed.
    write_fleet(only(fleet_data(), "server-1"))
    for phase, (pattern, seconds) in PHASES.items():
        killed[phase] = killed_in(pattern, seconds)
    write_fleet(fleet_data())
    killed["K3s on an agent"] = killed_in(*JOINING)
    for phase, ended in killed.items():
        assert ended.code == 1, f"{phase}: {ended.output}"
    whole = deploy_well()
    record_property("seconds", whole.seconds)
    assert ready_nodes() == {"server-1", "agent-1"}
    assert "No changes. Your infrastructure matches the configuration." in deploy_well().output
    for node in ("server-1", "agent-1"):
        assert on_node(node, "pgrep -f '[.]edge-gpu/' || :") == "", f"a step of a killed deploy still runs on {node}"
    outputs = {phase: ended.output for phase, ended in killed.items()}
    assert_no_leak({**outputs, "the last deploy": whole.output}, nodes=["server-1", "agent-1"])
