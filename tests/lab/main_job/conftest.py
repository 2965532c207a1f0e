"""The lab, and the commands that a user types, for the tests of the main job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts.checkout import LAB_FLEET, ROOT, STACK_DIRECTORY
from scripts.environment import command_environment, project_variables
from stacks.fleet import Fleet, load_fleet

EDGE = ROOT / ".edge" / "lab"
COMMAND_LIMIT_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished command."""

    code: int
    output: str
    seconds: float


def edge_gpu(command: str, *, fleet: Path = LAB_FLEET) -> Run:
    """Run `make deploy|diff|destroy`'s own command on a fleet."""
    return run([sys.executable, "-m", "scripts.edge_gpu", command], fleet=fleet)


def run(argv: list[str], *, fleet: Path = LAB_FLEET) -> Run:
    """Run a command in the environment that `make` gives its commands, stdout and stderr together."""
    started = time.monotonic()
    done = subprocess.run(
        argv,
        cwd=ROOT,
        # Every fleet file of these tests is on the lab's nodes, and so needs the lab's Terraform settings.
        env=command_environment(fleet=fleet, base={**os.environ, **project_variables(fleet=LAB_FLEET)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_LIMIT_SECONDS,
        check=False,
    )
    return Run(code=done.returncode, output=done.stdout, seconds=time.monotonic() - started)


def on_node(node: str, *argv: str, check: bool = True) -> str:
    """Run a command as root on a lab node; its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "lab", "exec", node, "--", *argv],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not check or done.returncode == 0, f"{node}: {' '.join(argv)}: {done.stdout}{done.stderr}"
    return done.stdout


def kubectl(*argv: str) -> Any:
    """What `kubectl ... -o json` answers on the server."""
    return json.loads(on_node("server-1", "k3s", "kubectl", *argv, "-o", "json"))


def main_pid(node: str) -> str:
    """Process id and start time of the node's K3s, by systemd."""
    unit = "k3s" if node.startswith("server") else "k3s-agent"
    return on_node(node, "systemctl", "show", unit, "-p", "MainPID,ActiveEnterTimestampMonotonic")


def gpu_report(*, fleet: Path = LAB_FLEET) -> dict[str, Any]:
    """The stack's output `gpu_report`, for the fleet that was deployed last."""
    shown = run(["terraform", f"-chdir={STACK_DIRECTORY}", "output", "-raw", "gpu_report"], fleet=fleet)
    assert shown.code == 0, shown.output
    report: dict[str, Any] = json.loads(shown.output)
    return report


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    """The lab's fleet, its nodes up."""
    up = run([sys.executable, "-m", "lab", "up"])
    assert up.code == 0, up.output
    return load_fleet(LAB_FLEET)


@pytest.fixture(scope="session")
def bare_nodes(fleet: Fleet) -> None:
    """Lab nodes without K3s: whatever an earlier run left is destroyed before."""
    if (EDGE / "terraform.tfstate").exists():
        gone = edge_gpu("destroy")
        assert gone.code == 0, gone.output
    for node in fleet.nodes:
        assert on_node(node.name, "sh", "-c", "test ! -e /usr/local/bin/k3s && echo bare") == "bare\n"


@pytest.fixture(scope="session")
def deployed(bare_nodes: None) -> Run:  # noqa: ARG001 (asked for its effect)
    """The first deploy on bare nodes."""
    first = edge_gpu("deploy")
    assert first.code == 0, first.output
    return first


@pytest.fixture
def changed_fleet(fleet: Fleet, tmp_path: Path) -> Callable[..., Path]:
    """Writes a copy of the lab's fleet file under another fleet name, with some text replaced."""

    def write(name: str, *replacements: tuple[str, str]) -> Path:
        text = LAB_FLEET.read_text().replace("name: lab\n", f"name: {name}\n", 1)
        assert f"name: {name}\n" in text
        for old, new in replacements:
            assert old in text, f"{old!r} is not in the lab's fleet file"
            text = text.replace(old, new)
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return path

    assert fleet.name == "lab"
    return write
