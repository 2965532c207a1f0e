"""Synth of made-up fleets of 1 to 1,000 nodes: time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from constructs_lib.cluster_identity import ClusterIdentity
from lab.artifacts.command import BuildError
from scripts.checkout import ROOT, VENV, chosen_fleet
from scripts.environment import command_environment

SIZES = (1, 10, 100, 1000)
_LIMIT_SECONDS = 300
# What main.py does, with the secrets outside of the checkout.
_PROGRAM = """
import sys
from pathlib import Path
import main
from constructs_lib.cluster_identity import ClusterIdentity
from stacks.fleet import load_fleet
folder = Path(sys.argv[2])
identity = ClusterIdentity(folder)
identity.verify()
main.synthesize(load_fleet(Path(sys.argv[1])), identity=identity, edge_folder=folder)
"""


@dataclass(frozen=True, kw_only=True)
class Synth:
    """One synthesis.

    Attributes:
        nodes: how many, each with one GPU; one of them the server.
        seconds: wall time, start and end of Python and Node.js included.
        cpu_seconds: of Python and Node.js together.
        memory_mib: the larger of Python's and Node.js's largest resident size.
    """

    nodes: int
    seconds: float
    cpu_seconds: float
    memory_mib: float

    def __str__(self) -> str:
        return f"{self.nodes}: {self.seconds:.1f} s, {self.cpu_seconds:.1f} s CPU, {self.memory_mib:.0f} MiB"


def measure_sizes() -> list[Synth]:
    """Synthesize a fleet of each size once.

    Raises:
        BuildError: a synthesis fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        identity = Path(folder) / "identity"
        ClusterIdentity.create(directory=identity, cluster_name="bench", server_addresses=["10.0.0.1"])
        return [_measure(nodes, folder=Path(folder), identity=identity) for nodes in SIZES]


def fleet(nodes: int) -> dict[str, object]:
    """A fleet file's content: made-up addresses, keys and checksum."""
    return {
        "name": "bench",
        "ssh": {"user": "edge", "agent": True},
        "nodes": [
            {
                "name": f"node-{number}",
                "address": f"10.0.{number // 250}.{number % 250 + 1}",
                "role": "agent" if number else "server",
                "gpus": 1,
                "host_key": "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBGu8swdvBuavOXr0"
                "RYW+yTMQ0h5Be9zhh/M4m8shG8tIbOPInM/fABZlW8eTpOVIRQNvPDIIA5CRUoswJ8t/8Mk=",
            }
            for number in range(nodes)
        ],
        "k3s": {"version": "v1.36.2+k3s1", "sha256": {"amd64": "0123456789abcdef" * 4}},
    }


def _measure(nodes: int, *, folder: Path, identity: Path) -> Synth:
    file = folder / f"{nodes}.yaml"
    file.write_text(json.dumps(fleet(nodes)))  # JSON is YAML.
    environment = {**command_environment(fleet=chosen_fleet()), "CDKTF_OUTDIR": str(folder / f"out-{nodes}")}
    environment.pop("EDGE_GPU_PLAN_ONLY", None)
    said = folder / f"said-{nodes}"
    command = ["timeout", str(_LIMIT_SECONDS), str(VENV / "bin" / "python"), "-c", _PROGRAM, str(file), str(identity)]
    started = time.monotonic()
    with said.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        # Popen's own wait() says nothing about time and memory.
        _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BuildError(f"synth of {nodes} nodes: exit code {process.returncode}: {said.read_text()[-1000:]}")
    return Synth(
        nodes=nodes, seconds=seconds, cpu_seconds=used.ru_utime + used.ru_stime, memory_mib=used.ru_maxrss / 1024
    )
