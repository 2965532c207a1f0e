"""Makes the plan of one stack: with access to the fleet by `cdktf diff`, without it from the last state."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from constructs_lib.cluster_identity import ClusterIdentity
from lab.progress import Progress
from scripts.cdktf_output import Readable
from scripts.checkout import BUILD, LOGS, ROOT
from scripts.environment import command_environment
from scripts.errors import CommandError
from scripts.plan_errors import failure, unknown_stack
from scripts.plan_file import SavedPlan, read_plan, run_terraform
from scripts.process import run_shown
from stacks.plan_only import TOKEN_IDS, VARIABLE, PlanOnly

LIMIT_SECONDS = 600.0
OUTPUT = ROOT / "cdktf.out"


@dataclass(frozen=True)
class Planned:
    """A plan and what it was made from.

    Attributes:
        plan: the plan.
        refreshed: whether it looked at the real objects.
        compared_with: the state it was compared with, in words.
    """

    plan: SavedPlan
    refreshed: bool
    compared_with: str


def plan_with_access(stack: str, *, fleet: Path) -> Planned:
    """Plan with the fleet's secrets: the state is locked and refreshed from the cluster meanwhile.

    Args:
        stack: its name.
        fleet: absolute path of the fleet file.

    Raises:
        CommandError: it failed; with its cause.
    """
    saved = OUTPUT / "stacks" / stack / "plan"
    # A plan of an earlier run must not be taken for this one's.
    saved.unlink(missing_ok=True)
    env = command_environment(fleet=fleet)
    _cdktf(["diff", stack], stack=stack, env=env)
    return Planned(
        plan=read_plan(saved, env=env), refreshed=True, compared_with="the state and the cluster as they are"
    )


def plan_without_access(stack: str, *, fleet: Path) -> Planned:
    """Plan from the last state alone: no secret, machine, cluster or Docker engine is needed, and no lock is taken.

    Args:
        stack: its name.
        fleet: absolute path of the fleet file.

    Raises:
        CommandError: it failed; with its cause.
    """
    with tempfile.TemporaryDirectory(prefix="edge-gpu-plan-") as made:
        return plan_in(Path(made).resolve(), stack, fleet=fleet)


def plan_in(folder: Path, stack: str, *, fleet: Path) -> Planned:
    """As plan_without_access(), in a given folder, which then holds a copy of the state.

    Args:
        folder: absolute path of an empty folder that only its owner may enter.
        stack: the stack's name.
        fleet: absolute path of the fleet file.

    Raises:
        CommandError: it failed; with its cause.
    """
    planning = PlanOnly(folder)
    output = synth_without_access(folder, fleet=fleet)
    # Plugins stay there for the next plan; the state and the plan do not.
    kept = BUILD / "plan" / fleet.stem / stack
    kept.mkdir(parents=True, exist_ok=True)
    env = {**command_environment(fleet=fleet), "TF_DATA_DIR": str(kept), "TF_IN_AUTOMATION": "1"}
    missing = unknown_stack(stack, manifest=output / "manifest.json")
    if missing:
        raise CommandError(missing)
    progress = Progress(stream=sys.stdout, live=False)
    progress.note("...   read the last state")
    compared_with = _copy_state(planning, stack, env=env)
    if _take_over_token_ids(planning, stack):
        shutil.rmtree(output)
        synth_without_access(folder, fleet=fleet)
    progress.note(f"ok    read the last state: {compared_with}")
    directory = output / "stacks" / stack
    run_terraform(["init", "-input=false", "-no-color", "-reconfigure"], cwd=directory, env=env, limit=LIMIT_SECONDS)
    run_terraform(
        ["plan", "-refresh=false", "-input=false", "-no-color", "-out=plan"],
        cwd=directory,
        env=env,
        limit=LIMIT_SECONDS,
    )
    return Planned(plan=read_plan(directory / "plan", env=env), refreshed=False, compared_with=compared_with)


def synth_without_access(folder: Path, *, fleet: Path) -> Path:
    """Synthesize every stack without the fleet's secrets, in a form that cannot be applied; the output folder.

    Args:
        folder: absolute path of an empty folder that only its owner may enter.
        fleet: absolute path of the fleet file.

    Raises:
        CommandError: the app refused; with its message.
    """
    # The second time it is there.
    ClusterIdentity.create(
        directory=PlanOnly(folder).identity.directory,
        cluster_name="plan-only",
        server_addresses=["plan-only.invalid"],
    )
    output = folder / "cdktf.out"
    env = {**command_environment(fleet=fleet), VARIABLE: str(folder)}
    _cdktf(["synth", "--output", str(output)], env=env)
    return output


def _copy_state(planning: PlanOnly, stack: str, *, env: Mapping[str, str]) -> str:
    """Copy the last state out of its backend; what it is, in words."""
    own = planning.backend(stack)
    settings = json.loads((own / "backend.tf.json").read_text())["terraform"]["backend"]
    kind = next(iter(settings))
    run_terraform(["init", "-input=false", "-no-color", "-reconfigure"], cwd=own, env=env, limit=LIMIT_SECONDS)
    state = run_terraform(["state", "pull"], cwd=own, env=env, limit=LIMIT_SECONDS)
    found: dict[str, Any] = json.loads(state) if state.strip() else {"serial": 0}
    if found["serial"] == 0:
        # Nothing was ever written: some backends answer with nothing, others with a state that says nothing.
        if kind == "local":
            return "no state: there is none on this machine, so everything is planned as new"
        return f"no state: the {kind} backend has none yet, so everything is planned as new"
    copy = planning.state(stack)
    copy.parent.mkdir(mode=0o700)
    copy.write_text(state)
    count = sum(len(one["instances"]) for one in found["resources"] if one["mode"] == "managed")
    return f"the last state of the {kind} backend (serial {found['serial']}, {count} resources)"


def _take_over_token_ids(planning: PlanOnly, stack: str) -> bool:
    """Have the next synthesis take what the state says of the tokens; whether it says anything."""
    copy = planning.state(stack)
    if not copy.is_file():
        return False
    steps = [
        instance["attributes"].get("input") or {}
        for one in json.loads(copy.read_text())["resources"]
        if one["type"] == "terraform_data"
        for instance in one["instances"]
    ]
    values = [step["value"] for step in steps if isinstance(step.get("value"), dict)]
    ids = {value["ROLE"]: value["TOKEN_ID"] for value in values if value.get("TOKEN_ID") and value.get("ROLE")}
    (planning.folder / TOKEN_IDS).write_text(json.dumps(ids))
    return bool(ids)


def _cdktf(arguments: list[str], *, env: Mapping[str, str], stack: str | None = None) -> None:
    title = f"cdktf {arguments[0]}" + (f" {stack}" if stack else "")
    progress = Progress(stream=sys.stdout, live=False)
    progress.note(f"...   {title}")
    outcome = run_shown(
        ["cdktf", *arguments, "--no-color"],
        title=title,
        log=LOGS / f"cdktf-{arguments[0]}.log",
        env={**env, "CI": "true"},
        cwd=ROOT,
        timeout_seconds=LIMIT_SECONDS,
        readable=Readable(with_plan=False),
    )
    if outcome.exit_code != 0:
        unknown = stack and unknown_stack(stack, manifest=OUTPUT / "manifest.json", lines=outcome.lines)
        raise CommandError(unknown or failure(title, outcome.lines))
    progress.note(f"ok    {title}: {outcome.seconds:.0f} s")
