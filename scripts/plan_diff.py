"""`edge-gpu diff`: shows what a deploy would change, and says by its exit code whether that may pass.

Exit code 0: no changes. 2: changes. 1: an error, or changes that destroy something or restart K3s on a server and that
nobody has allowed. `--json` tells the last two apart.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from constructs_lib.cluster_identity import ClusterIdentity
from scripts.checkout import ROOT, STACK, shown
from scripts.environment import command_environment
from scripts.errors import CommandError
from scripts.plan_changes import read_changes
from scripts.plan_file import SavedPlan, read_plan
from scripts.plan_make import Planned, plan_with_access, plan_without_access
from scripts.plan_markdown import as_markdown
from scripts.plan_text import as_text
from scripts.plan_verdict import Verdict, refusals
from stacks.fleet import Fleet, FleetError, load_fleet

LABELS_VARIABLE = "EDGE_GPU_ALLOWED"
"""What a pull request's labels allow, separated by commas: `allow-destroy`, `allow-server-restart`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `edge-gpu diff`, --fleet excepted."""
    parser.add_argument("named", nargs="?", metavar="STACK", help=f"the stack to plan (default: {STACK})")
    parser.add_argument("--stack", help="the same")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write a pull request's comment there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there, for machines")
    parser.add_argument("--allow-destroy", action="store_true", help="exit 2, not 1, when something is destroyed")
    parser.add_argument(
        "--allow-server-restart", action="store_true", help="exit 2, not 1, when K3s restarts on a server"
    )
    parser.add_argument(
        "--no-refresh",
        action="store_true",
        help="plan from the last state alone, without secrets, machines and cluster; so it is done anyway where the "
        "fleet's secrets are not",
    )
    parser.add_argument(
        "--plan", type=Path, metavar="FILE", help="show this saved plan, or JSON of one, instead of making one"
    )


def diff(options: argparse.Namespace, *, fleet: Path) -> int:
    """Plan, show, write the files that were asked for; the exit code.

    Args:
        options: what add_arguments() declared.
        fleet: absolute path of the fleet file.
    """
    verdict, plan = _verdict(options, fleet=fleet)
    try:
        if options.markdown is not None:
            _write(options.markdown, as_markdown(verdict, plan_text=plan.text if plan else None))
        if options.json is not None:
            _write(options.json, json.dumps(verdict.as_json(), indent=2) + "\n")
    except OSError as error:
        print(f"error: the result cannot be written: {error}", file=sys.stderr)
        return 1
    if verdict.error is not None:
        print(f"error: {verdict.error}", file=sys.stderr)
        return verdict.exit_code
    if plan is not None and plan.text and verdict.changes is not None and verdict.changes.any:
        print(plan.text)
    print(as_text(verdict))
    for refusal in verdict.refusals:
        print(f"refused: {refusal}", file=sys.stderr)
    return verdict.exit_code


def _verdict(options: argparse.Namespace, *, fleet: Path) -> tuple[Verdict, SavedPlan | None]:
    stack = _stack(options)
    name = fleet.stem
    try:
        loaded = load_fleet(fleet)
        name = loaded.name
        planned = _planned(options, loaded=loaded, fleet=fleet)
    except (CommandError, FleetError, ValueError, OSError) as error:
        return Verdict(fleet=name, stack=stack, error=str(error)), None
    changes = read_changes(
        planned.plan.data,
        nodes={node.name: node.role for node in loaded.nodes},
        refreshed=planned.refreshed,
    )
    allowed = _allowed(os.environ)
    return Verdict(
        fleet=name,
        stack=stack,
        changes=changes,
        refreshed=planned.refreshed,
        compared_with=planned.compared_with,
        refusals=refusals(
            changes,
            allow_destroy=options.allow_destroy or "allow-destroy" in allowed,
            allow_server_restart=options.allow_server_restart or "allow-server-restart" in allowed,
        ),
    ), planned.plan


def _stack(options: argparse.Namespace) -> str:
    stack: str = options.named or options.stack or STACK
    return stack


def _planned(options: argparse.Namespace, *, loaded: Fleet, fleet: Path) -> Planned:
    if options.plan is not None:
        path = options.plan.resolve()
        plan = read_plan(path, env=command_environment(fleet=fleet))
        return Planned(plan=plan, refreshed=True, compared_with=f"what {shown(path)} was made from")
    if options.no_refresh:
        return plan_without_access(_stack(options), fleet=fleet)
    identity = ClusterIdentity(ROOT / ".edge" / loaded.name)
    if identity.exists():
        identity.verify()
        return plan_with_access(_stack(options), fleet=fleet)
    print(f"note  {shown(identity.directory)} has no secrets of this fleet: planned from the last state, not refreshed")
    return plan_without_access(_stack(options), fleet=fleet)


def _allowed(environment: Mapping[str, str]) -> set[str]:
    return {label.strip() for label in environment.get(LABELS_VARIABLE, "").split(",")}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
