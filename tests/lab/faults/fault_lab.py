"""The lab of the fault suite, and what a test may do to its machines.

Five machines with K3s are what the kernel's 128 inotify instances for one user have room for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from lab.settings import load_settings
from scripts.checkout import BUILD, ROOT
from scripts.environment import LAB_TERRAFORM_VARIABLES, command_environment

LAB_VARIABLES = {
    "LAB_NAME": os.environ.get("FAULTS_LAB_NAME") or "edge-gpu-faults",
    "LAB_SUBNET": os.environ.get("FAULTS_LAB_SUBNET") or "172.30.250.0/24",
}
SETTINGS = load_settings(LAB_VARIABLES)
FLEET_NAME = "faults"
FLEET_FILE = BUILD / "faults" / f"{FLEET_NAME}.yaml"
EDGE = ROOT / ".edge" / FLEET_NAME
_UP_LIMIT_SECONDS = 2700
_NODE_COMMAND_LIMIT_SECONDS = 180

FleetData = dict[str, Any]


def environment(fleet: Path = FLEET_FILE) -> dict[str, str]:
    """What `make` gives its commands, for a fleet on this lab's nodes: with the lab's Terraform plugins."""
    base = {**os.environ, **LAB_VARIABLES, **LAB_TERRAFORM_VARIABLES}
    return command_environment(fleet=fleet, base=base)


def lab(*arguments: str, nodes: str = "server-1=server") -> None:
    """Run `python -m lab` for this lab; `up` makes these nodes, whose names must say nothing of their faults."""
    done = subprocess.run(
        [sys.executable, "-m", "lab", *arguments],
        cwd=ROOT,
        env={**os.environ, **LAB_VARIABLES, "LAB_NODES": nodes},
        capture_output=True,
        text=True,
        timeout=_UP_LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def fresh_lab(nodes: str) -> None:
    """These nodes alone, bare, as `LAB_NODES` has them; the state speaks of none. Seconds: only the disks are new."""
    lab("down")
    lab("up", nodes=nodes)
    (EDGE / "terraform.tfstate").unlink(missing_ok=True)


def fleet_data() -> FleetData:
    """The fleet file that `lab up` wrote, under the suite's own fleet name."""
    data: FleetData = yaml.safe_load(SETTINGS.fleet_file.read_text())
    # Lab nodes are near: what does not answer in 15 s will not.
    return {**data, "name": FLEET_NAME, "ssh": {**data["ssh"], "connect_timeout_seconds": 15}}


def write_fleet(data: FleetData, *, path: Path = FLEET_FILE) -> None:
    """Write the fleet file that the next command reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(data, sort_keys=False, width=4096))


def entry(data: FleetData, node: str) -> dict[str, Any]:
    """A node's entry in the fleet file."""
    found: list[dict[str, Any]] = [entry for entry in data["nodes"] if entry["name"] == node]
    return found[0]


def only(data: FleetData, *nodes: str) -> FleetData:
    """The fleet with these nodes alone."""
    return {**data, "nodes": [entry for entry in data["nodes"] if entry["name"] in nodes]}


def docker(*arguments: str) -> str:
    """Run one of the engine's commands; its standard output."""
    done = subprocess.run(
        ["docker", *arguments],
        capture_output=True,
        text=True,
        timeout=_NODE_COMMAND_LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def container(node: str) -> str:
    """The container that is this node."""
    return f"{SETTINGS.name}-{node}"


def on_node(node: str, script: str, *, check: bool = True, stdin: str = "") -> str:
    """Run a shell script as root on a node; its standard output. The engine is the way in: sshd may be the fault."""
    done = subprocess.run(
        ["docker", "exec", "-i", container(node), "sh", "-euc", script],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_NODE_COMMAND_LIMIT_SECONDS,
        check=False,
    )
    assert not check or done.returncode == 0, f"{node}: {script}: {done.stdout}{done.stderr}"
    return done.stdout


def kubectl(command: str) -> str:
    """What kubectl prints on the server."""
    return on_node("server-1", f"k3s kubectl --request-timeout=20s {command}")


def ready_nodes() -> set[str]:
    """Names of the cluster's Ready nodes."""
    lines = kubectl("get nodes --no-headers").splitlines()
    return {line.split()[0] for line in lines if line.split()[1] == "Ready"}


def restart_node(node: str) -> None:
    """Start a stopped node and wait until it takes commands; its disks are as they were."""
    docker("start", container(node))
    wait_for(lambda: _is_up(node), seconds=60, what=f"{node} to be up")


def _is_up(node: str) -> bool:
    return on_node(node, "systemctl is-active ssh", check=False).strip() == "active"


def wait_for(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Poll twice a second."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.5)


@contextmanager
def beside(*actions: Callable[[], None]) -> Iterator[None]:
    """Run these beside the block's own work; what one of them raises is raised at the block's end."""
    problems: list[BaseException] = []

    def run(action: Callable[[], None]) -> None:
        try:
            action()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=[action], daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(timeout=_NODE_COMMAND_LIMIT_SECONDS)
    if problems:
        raise problems[0]


def together(actions: Sequence[Callable[[], Any]]) -> None:
    """Run all of them side by side."""
    with beside(*actions):
        pass
