"""Looks at every node of a fleet before a deploy, and changes nothing: `python -m scripts.preflight [FLEET]`.

The same checks that Terraform runs as each node's first step, side by side over SSH, with a report of all nodes.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from constructs_lib.ssh_access import SshAccess
from scripts.checkout import BUILD, ROOT, chosen_fleet, shown
from scripts.fleet_preflight import NodePreflight, as_json, compared, node_preflight, total
from scripts.table import render
from stacks.fleet import Fleet, FleetError, load_fleet
from stacks.fleet.model import Node

_PARALLEL = 20
_NODE_LIMIT_SECONDS = 120
_HEADER = ("NODE", "RESULT", "CHECK", "FINDING")


def main(arguments: list[str] | None = None) -> int:
    """Print the table and write `build/preflight.json`. Exit code 0 when no node has an error, else 1."""
    parser = argparse.ArgumentParser(prog="python -m scripts.preflight", description=__doc__)
    parser.add_argument("fleet", nargs="?", type=Path, default=chosen_fleet(), help="fleet file (default: $FLEET)")
    parser.add_argument("--all", action="store_true", help="show the checks that passed as well")
    options = parser.parse_args(arguments)
    try:
        fleet = load_fleet((ROOT / options.fleet).resolve())
        fleet.check_operator_files()
    except FleetError as error:
        print(error, file=sys.stderr)
        return 1
    nodes = look(fleet)
    target = write_report(fleet, nodes)
    print(as_text(fleet.name, nodes, with_passed=options.all))
    print(f"({shown(target)} holds all checks)")
    return 1 if total(nodes, "error") else 0


def look(fleet: Fleet) -> list[NodePreflight]:
    """Run the checks on all nodes at once; a node that cannot be reached is an error in the report."""
    # The constructs' import costs a second; who only wants `--help` does not pay for it.
    from constructs_lib.node_script import node_script
    from constructs_lib.preflight import preflight_parameters
    from stacks.fleet_to_constructs import machines, preflight_limits

    servers = sum(node.role == "server" for node in fleet.nodes)
    limits = preflight_limits(fleet)
    scripts = [
        node_script(
            "preflight.sh",
            step="preflight",
            node=machine.name,
            parameters=preflight_parameters(
                machine,
                driver_mode=fleet.driver.mode,
                etcd=machine.role == "server" and servers > 1,
                limits=limits,
                report="json",
            ),
        )
        for machine in machines(fleet)
    ]

    def one(index: int) -> NodePreflight:
        node = fleet.nodes[index]
        others = " ".join(other.name for other in fleet.nodes if other is not node)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        # It comes in over standard input: no file is written there.
        command = f"sudo -n sh -s -- {now} {shlex.quote(others)}"
        answer = access_to(fleet, node).run(command, stdin=scripts[index], timeout_seconds=_NODE_LIMIT_SECONDS)
        return node_preflight(node.name, answer, address=node.address, user=fleet.ssh.user)

    with ThreadPoolExecutor(max_workers=_PARALLEL) as pool:
        return compared(list(pool.map(one, range(len(fleet.nodes)))))


def access_to(fleet: Fleet, node: Node) -> SshAccess:
    """How a node is logged into: over the same way, with the same keys and host keys, as Terraform does."""
    ssh, bastion = fleet.ssh, fleet.ssh.bastion
    return SshAccess(
        name=node.name,
        address=node.address,
        port=str(node.port),
        user=ssh.user,
        host_key=node.host_key or "any",
        private_key_path="" if ssh.private_key_path is None else str(ssh.private_key_path),
        bastion_address="" if bastion is None else bastion.address,
        bastion_port="" if bastion is None else str(bastion.port),
        bastion_user="" if bastion is None else bastion.user,
        bastion_host_key="" if bastion is None else bastion.host_key,
    )


def write_report(fleet: Fleet, nodes: list[NodePreflight]) -> Path:
    """Write build/preflight.json."""
    BUILD.mkdir(exist_ok=True)
    target = BUILD / "preflight.json"
    target.write_text(json.dumps(as_json(fleet.name, nodes), indent=2) + "\n")
    return target


def as_text(fleet: str, nodes: list[NodePreflight], *, with_passed: bool = False) -> str:
    """The table, a row a finding; below it cause and fix of each."""
    rows = [
        [node.node, result.result, result.check, result.what]
        for node in nodes
        for result in node.results
        if with_passed or result.result != "ok"
    ]
    if not with_passed:
        clean = [node for node in nodes if node.count("ok") == len(node.results)]
        rows += [[node.node, "ok", "", f"{len(node.results)} checks"] for node in clean]
    lines = [f"Fleet {fleet}", "", render(_HEADER, rows), ""]
    for node in nodes:
        for result in node.results:
            if result.result != "ok":
                lines += [f"{result.result.upper()} {node.node} {result.check}: {result.what}"]
                lines += [f"  cause: {result.cause}", f"  fix:   {result.fix}"]
    lines.append(
        f"{len(nodes)} nodes: {total(nodes, 'error')} errors, {total(nodes, 'warning')} warnings. Nothing was changed."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
