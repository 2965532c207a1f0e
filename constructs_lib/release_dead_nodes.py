"""Drops the Node objects and pods of machines that do not answer; Terraform runs it first when it destroys a cluster.

Exit code 0 always: what it could not do is said, and what comes next has its own limits.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from constructs_lib.node_script import node_script, receive_step, run_as_root, script_path
from constructs_lib.ssh_access import SshAccess

STEP = "release"
LIMIT_SECONDS = 90


def main() -> int:
    """Terraform's entry: the machines in EDGE_GPU_TARGET."""
    target = json.loads(os.environ["EDGE_GPU_TARGET"])
    machines = [SshAccess.read(one) for one in json.loads(target["machines"])]
    servers = {one["name"] for one in json.loads(target["servers"])}
    with ThreadPoolExecutor(max_workers=32) as pool:
        reached = dict(zip(machines, pool.map(_answers, machines), strict=True))
    dead = [machine.name for machine, answers in reached.items() if not answers]
    if not dead:
        return 0
    alive = [machine for machine, answers in reached.items() if answers and machine.name in servers]
    print(f"{STEP}: no answer from {', '.join(dead)}", flush=True)
    for server in alive:
        path = script_path(step=STEP, node=server.name)
        done = server.run(
            receive_step(path, step=STEP, node=server.name, time_limit_seconds=LIMIT_SECONDS)
            + f"\ncat >{path} || exit 1\n"
            + run_as_root(path, step=STEP, node=server.name, time_limit_seconds=LIMIT_SECONDS),
            stdin=node_script(
                "k3s_release_dead_nodes.sh", step=STEP, node=server.name, parameters={"DEAD": " ".join(dead)}
            ),
            timeout_seconds=2 * LIMIT_SECONDS + 60,
        )
        print(done.output, flush=True)
        if done.code == 0:
            return 0
    print(
        f"{STEP}: no server answers, so nothing in the cluster can be deleted. Fix: `make destroy`, which lets "
        "Terraform forget what was in it",
        flush=True,
    )
    return 0


def _answers(machine: SshAccess) -> bool:
    return machine.run("true", timeout_seconds=30).reached


if __name__ == "__main__":
    sys.exit(main())
