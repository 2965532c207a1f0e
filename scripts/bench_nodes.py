"""Deploy time against the number of nodes, on a lab of its own: `python -m scripts.bench_nodes --nodes 3 10`.

Each machine runs K3s. All of them share this machine's processors, which real machines do not: what is seen here is
what the operator's side and the servers cost, and an upper bound for the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from lab.artifacts.command import BuildError, run_command
from lab.cache import CacheError
from lab.host_limits import inotify_shortage
from lab.settings import load_settings
from scripts.checkout import BUILD, ROOT, VENV, shown
from scripts.edge_gpu import make_identity, run_cdktf
from scripts.environment import LAB_TERRAFORM_VARIABLES
from scripts.errors import CommandError
from scripts.table import render

NODE_MEMORY_MIB = 450
"""What K3s with its containers takes on a lab node."""

_LAB_NAME = "edge-gpu-nodes"
_LAB_SUBNET = "172.30.251.0/24"
_FLEET_NAME = "nodes"
_LAB_LIMIT_SECONDS = 3600


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One fleet size.

    Attributes:
        nodes: how many, one of them the server, two with GPUs.
        first_seconds: `cdktf deploy` on bare nodes.
        second_seconds: the same again, with nothing to change.
    """

    nodes: int
    first_seconds: float
    second_seconds: float


def main(arguments: list[str] | None = None) -> int:
    """Measure, write `build/bench-nodes.json`, print the table. Exit code 1 when something does not run."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench_nodes", description=__doc__)
    parser.add_argument(
        "--nodes", type=int, nargs="+", default=[3, 10], metavar="N", help="fleet sizes, each 3 or more"
    )
    options = parser.parse_args(arguments)
    if min(options.nodes) < 3:
        parser.error(f"--nodes {min(options.nodes)}: at least 3")
    # A lab beside the default one, with the lab's Terraform plugins.
    os.environ |= {
        "LAB_NAME": _LAB_NAME,
        "LAB_SUBNET": _LAB_SUBNET,
        **LAB_TERRAFORM_VARIABLES,
    }
    results = []
    try:
        for nodes in options.nodes:
            try:
                results.append(measure(nodes))
            finally:
                _lab("down")
    except (CommandError, BuildError, CacheError, subprocess.SubprocessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    BUILD.mkdir(exist_ok=True)
    target = BUILD / "bench-nodes.json"
    target.write_text(json.dumps([asdict(one) for one in results], indent=2) + "\n")
    rows = [(str(one.nodes), f"{one.first_seconds:.0f}", f"{one.second_seconds:.0f}") for one in results]
    print(f"\n{render(('NODES', 'DEPLOY (S)', 'SECOND (S)'), rows)}\n({shown(target)} holds the same)")
    return 0


def measure(nodes: int) -> Measured:
    """Deploy a fleet of this size twice on bare lab nodes.

    Raises:
        CommandError: this machine has too little for it, or a deploy failed.
        BuildError: the lab does not come up.
    """
    os.environ["LAB_NODES"] = lab_nodes(nodes)
    settings = load_settings(os.environ)
    _see_room(nodes)
    shortage = inotify_shortage(settings.nodes)
    if shortage:
        raise CommandError(f"{nodes} nodes: {shortage}")
    _lab("down")
    _lab("up")
    fleet = BUILD / "bench" / f"{_FLEET_NAME}.yaml"
    fleet.parent.mkdir(parents=True, exist_ok=True)
    fleet.write_text(yaml.safe_dump({**yaml.safe_load(settings.fleet_file.read_text()), "name": _FLEET_NAME}))
    (ROOT / ".edge" / _FLEET_NAME / "terraform.tfstate").unlink(missing_ok=True)
    make_identity(fleet=fleet)
    first, second = (run_cdktf("deploy", fleet=fleet).seconds for _ in range(2))
    return Measured(nodes=nodes, first_seconds=first, second_seconds=second)


def lab_nodes(nodes: int) -> str:
    """`LAB_NODES` for a server, two machines with a GPU each, and agents without."""
    agents = [f"agent-{number}=agent" for number in range(1, nodes - 2)]
    return " ".join(["server-1=server", "gpu-1=agent:1", "gpu-2=agent:1", *agents])


def _see_room(nodes: int) -> None:
    meminfo = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(meminfo["MemAvailable"].split()[0]) // 1024
    if available < nodes * NODE_MEMORY_MIB:
        raise CommandError(
            f"{nodes} nodes need about {nodes * NODE_MEMORY_MIB} MiB of memory, {available} MiB are available. "
            "Fix: fewer --nodes, or a larger machine"
        )


def _lab(command: str) -> None:
    run_command([VENV / "bin" / "python", "-m", "lab", command], cwd=ROOT, timeout_seconds=_LAB_LIMIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
