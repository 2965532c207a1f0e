"""Prints what a deploy left and whether anything is missing: `python -m scripts.report [FLEET]`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts.checkout import BUILD, LOGS, ROOT, STACK_DIRECTORY, chosen_fleet, shown
from scripts.cluster import Cluster, with_plugin_logs
from scripts.environment import command_environment
from scripts.errors import CommandError
from scripts.fleet_report import FleetReport, NodeReport, SeenCheck, SeenNode, WantedNode, compare
from scripts.node_failures import node_failures
from scripts.removals import left_over
from scripts.table import render
from stacks.fleet import Fleet, FleetError, load_fleet

_HEADER = ("NODE", "ROLE", "K3S", "GPUS EXPECTED/ALLOCATABLE", "GPU CHECK", "GPUS SEEN BY THE CHECK")
_TERRAFORM_LIMIT_SECONDS = 60


def main(arguments: list[str] | None = None) -> int:
    """Print the table and write `build/report.json`. Exit code 0 when nothing is missing, else 1."""
    parser = argparse.ArgumentParser(prog="python -m scripts.report", description=__doc__)
    parser.add_argument("fleet", nargs="?", type=Path, default=chosen_fleet(), help="fleet file (default: $FLEET)")
    parser.add_argument(
        "--deploy-failed",
        action="store_true",
        help="take the GPU checks from the cluster: the stack output is an earlier deploy's",
    )
    options = parser.parse_args(arguments)
    path = (ROOT / options.fleet).resolve()
    try:
        fleet = load_fleet(path)
    except FleetError as error:
        print(error, file=sys.stderr)
        return 1
    report = look(fleet, path=path, deploy_failed=options.deploy_failed)
    BUILD.mkdir(exist_ok=True)
    target = BUILD / "report.json"
    target.write_text(json.dumps(report.as_json(), indent=2) + "\n")
    print(as_text(report))
    print(f"({shown(target)} holds the same)")
    return 0 if report.complete else 1


def look(fleet: Fleet, *, path: Path, deploy_failed: bool) -> FleetReport:
    """Ask the cluster and the stack's state; what cannot be had is a problem in the report, not an error.

    Args:
        fleet: the parsed fleet file.
        path: its absolute path.
        deploy_failed: take the GPU checks from the cluster's pods, not from the stack's output.
    """
    shared = fleet.device_plugin.time_slicing
    wanted = [
        WantedNode(
            name=node.name,
            role=node.role,
            gpus=node.gpus,
            k3s_version=fleet.k3s.version,
            pods_per_gpu=shared.replicas if shared is not None else 1,
        )
        for node in fleet.nodes
    ]
    seen: dict[str, SeenNode] | None = None
    checks: dict[str, SeenCheck] = {}
    problems: list[str] = []
    try:
        cluster = Cluster(kubeconfig=ROOT / ".edge" / fleet.name / "admin" / "kubeconfig")
        seen = cluster.nodes()
        short = {node.name for node in wanted if node.name in seen and seen[node.name].gpus != node.offers}
        seen = with_plugin_logs(cluster, seen, short=short)
        if deploy_failed:
            checks = cluster.gpu_checks()
    except CommandError as error:
        problems.append(str(error))
    if not deploy_failed and any(node.gpus for node in wanted):
        try:
            checks = gpu_report(env=command_environment(fleet=path))
        except CommandError as error:
            problems.append(str(error))
    failures = node_failures(_deploy_log(), nodes=[node.name for node in wanted]) if deploy_failed else {}
    records: list[str] = []
    try:
        ready = frozenset(name for name, node in (seen or {}).items() if node.ready)
        records = [record.text for record in left_over(fleet, joined=ready)]
    except (ValueError, OSError) as error:
        problems.append(str(error))
    return compare(
        fleet=fleet.name,
        wanted=wanted,
        seen=seen,
        checks=checks,
        failures=failures,
        left_over=records,
        problems=problems,
    )


def _deploy_log() -> list[str]:
    """What cdktf printed at the last deploy; nothing when it did not come so far."""
    log = LOGS / "cdktf-deploy.log"
    return log.read_text(errors="replace").splitlines() if log.is_file() else []


def gpu_report(*, env: Mapping[str, str], stack_directory: Path = STACK_DIRECTORY) -> dict[str, SeenCheck]:
    """The stack's output `gpu_report`, by node name.

    Args:
        env: environment for Terraform.
        stack_directory: where the stack was synthesised and initialised.

    Raises:
        CommandError: there is no such output, or Terraform cannot read it.
    """
    if not stack_directory.is_dir():
        raise CommandError(f"{shown(stack_directory)} does not exist: nothing was deployed here. Fix: make deploy.")
    terraform = env.get("TERRAFORM_BINARY_NAME", "terraform")
    argv = [terraform, f"-chdir={stack_directory}", "output", "-no-color", "-json"]
    try:
        done = subprocess.run(
            argv, env=dict(env), capture_output=True, text=True, timeout=_TERRAFORM_LIMIT_SECONDS, check=True
        )
        return parse_gpu_report(done.stdout)
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", "") or "").strip()
        raise CommandError(f"`{' '.join(argv)}` failed: {error}{os.linesep if said else ''}{said}") from error


def parse_gpu_report(outputs: str) -> dict[str, SeenCheck]:
    """The GPU checks in what `terraform output -json` printed.

    Raises:
        CommandError: it has no `gpu_report`, or not in the shape that the stack gives it.
    """
    try:
        entries = json.loads(json.loads(outputs)["gpu_report"]["value"])
        return {name: SeenCheck.from_output(entry) for name, entry in entries.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CommandError(
            f"the stack has no usable output gpu_report ({type(error).__name__}: {error}). Fix: make deploy."
        ) from error


def as_text(report: FleetReport) -> str:
    """The table, and below it each problem with what the device plugin last said."""
    lines = [f"Fleet {report.fleet}", "", render(_HEADER, [_row(node) for node in report.nodes]), ""]
    lines += [f"PROBLEM  {problem}" for problem in report.problems]
    for node in report.nodes:
        lines += [f"PROBLEM  {node.name} {problem}" for problem in node.problems]
        lines += [f"note     {node.name}: an earlier attempt of its GPU check: {one}" for one in node.failed_attempts]
        if node.plugin_log:
            lines.append(f"         The device plugin's last lines on {node.name}:")
            lines += [f"           {line}" for line in node.plugin_log]
    lines += [f"LEFT OVER  {text}; when it answers again: python -m scripts.removals" for text in report.left_over]
    if report.fine and not report.complete:
        lines.append(f"fine     {', '.join(report.fine)}")
    if report.complete:
        lines.append(f"Nothing is missing: {_summary(report)}.")
    return "\n".join(lines)


def _row(node: NodeReport) -> list[str | list[str]]:
    allocatable = "?" if node.gpus_allocatable is None else str(node.gpus_allocatable)
    return [
        node.name,
        node.role,
        node.k3s_version or "?",
        f"{node.shares_expected}/{allocatable}",
        node.verdict,
        list(node.uuids),
    ]


def _summary(report: FleetReport) -> str:
    gpus = sum(node.gpus_expected for node in report.nodes)
    nodes = len(report.nodes)
    return f"{nodes} {'node' if nodes == 1 else 'nodes'}, {gpus} {'GPU' if gpus == 1 else 'GPUs'}"


if __name__ == "__main__":
    sys.exit(main())
