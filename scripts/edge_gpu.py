"""The project's commands, as `make` and `scripts/edge-gpu` run them: deploy, diff, destroy, and `scripts.bundle`'s."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lab.artifacts.command import BuildError
from lab.cache import CacheError
from lab.progress import Progress
from scripts import dead_cluster, removals, report
from scripts.cdktf_output import Readable, cause
from scripts.checkout import LOGS, ROOT, STACK, VENV, chosen_fleet, is_lab_fleet, shown
from scripts.environment import command_environment
from scripts.errors import CommandError
from scripts.plan_diff import add_arguments, diff
from scripts.process import Outcome, run_shown
from scripts.unfinished_apply import forget_unfinished_steps, note_unfinished_steps, replacing
from stacks.fleet import load_fleet

CDKTF_ARGUMENTS = {
    "deploy": ("deploy", STACK, "--auto-approve", "--no-color"),
    "destroy": ("destroy", STACK, "--auto-approve", "--no-color"),
}
TIME_LIMIT_SECONDS = {"deploy": 3600.0, "destroy": 1800.0}
"""Far above what a fleet needs; each step inside has its own, shorter limit."""

_WHOLE = re.compile(r"(Apply|Destroy) complete!|No changes\.")
"""What Terraform says at its end, unless it is killed: cdktf then calls that a success."""

_LAB_UP_LIMIT_SECONDS = 5400.0
_IDENTITY_LIMIT_SECONDS = 60.0


def main(arguments: list[str] | None = None) -> int:
    """Run one command on a fleet. Exit code 0, or 1 after a message that tells the cause; diff's own: see plan_diff."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["bundle"]:
        # Its steps come from the constructs, which start Node.js: the project's own.
        os.environ["PATH"] = command_environment(fleet=chosen_fleet())["PATH"]
        from scripts import bundle

        return bundle.main(words[1:])
    if words[:1] == ["waldur"]:
        from scripts import waldur

        return waldur.main(words[1:])
    options = _parser().parse_args(words)
    fleet = chosen_fleet() if options.fleet is None else options.fleet.absolute()
    try:
        if options.command == "diff":
            return diff(options, fleet=fleet)
        _see_fleet(options.command, fleet=fleet)
        make_identity(fleet=fleet)
        if options.command == "destroy":
            env = command_environment(fleet=fleet)
            dead_cluster.destroy(lambda: run_cdktf("destroy", fleet=fleet), fleet=load_fleet(fleet), env=env)
            removals.say_left_over(load_fleet(fleet))
        else:
            run_cdktf(options.command, fleet=fleet)
    except (CommandError, BuildError, CacheError) as error:
        if options.command == "deploy" and fleet.is_file():
            # What is up, and the device plugin's last words where GPUs are short, help more than the error alone.
            report.main([str(fleet), "--deploy-failed"])
        print(f"error: {error}", file=sys.stderr)
        return 1
    return report.main([str(fleet)]) if options.command == "deploy" else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=os.environ.get("EDGE_GPU_PROGRAM", "python -m scripts.edge_gpu"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    helps = {
        "deploy": "bring the fleet up and check its GPUs",
        "diff": "show what a deploy would change; exit code 0 no changes, 2 changes, 1 an error or not allowed",
        "destroy": "take K3s off the fleet's nodes",
    }
    for name, text in helps.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--fleet", type=Path, metavar="FILE", help="fleet file (default: $FLEET, else the lab's)")
        if name == "diff":
            add_arguments(command)
    commands.add_parser("waldur", help="register the cluster's offering in Waldur")
    commands.add_parser("bundle", help="one file with all that the fleet's nodes install: create, verify, unpack")
    return parser


def run_cdktf(command: str, *, fleet: Path) -> Outcome:
    """Run one of cdktf's commands on the stack.

    Raises:
        CommandError: it failed; with Terraform's errors.
    """
    edge_folder = ROOT / ".edge" / load_fleet(fleet).name if command == "deploy" else None
    unfinished = note_unfinished_steps(edge_folder) if edge_folder else []
    if unfinished:
        print(f"...   an earlier deploy was killed: its {len(unfinished)} steps run again", flush=True)
    outcome = _run(
        ["cdktf", *CDKTF_ARGUMENTS[command]],
        title=f"cdktf {command} {STACK}",
        log=f"cdktf-{command}.log",
        # With CI set cdktf prints each line once, and no spinner.
        env=replacing(unfinished, env={**command_environment(fleet=fleet), "CI": "true"}),
        timeout_seconds=TIME_LIMIT_SECONDS[command],
        readable=Readable(with_plan=False),
    )
    if not any(_WHOLE.search(line) for line in outcome.lines):
        raise CommandError(
            f"cdktf {command} {STACK}: Terraform was ended from outside before it was done (all of its output: "
            f"{shown(outcome.log)}). Fix: run the same command again; it goes on where this one was ended"
        )
    if edge_folder:
        forget_unfinished_steps(edge_folder)
    return outcome


def lab_up(*, fleet: Path) -> Outcome:
    """Bring the embedded lab up.

    Raises:
        CommandError: it failed; with its last lines.
    """
    return _run(
        [str(VENV / "bin" / "python"), "-m", "lab", "up"],
        title="python -m lab up",
        log="lab-up.log",
        env=command_environment(fleet=fleet),
        timeout_seconds=_LAB_UP_LIMIT_SECONDS,
    )


def make_identity(*, fleet: Path) -> Outcome:
    """Make the fleet's certificate authorities, tokens and admin certificate where they are not there yet.

    Raises:
        CommandError: the fleet file is not valid or the files cannot be written.
    """
    return _run(
        [str(VENV / "bin" / "python"), "-m", "stacks.identity", str(fleet)],
        title="python -m stacks.identity",
        log="identity.log",
        env=command_environment(fleet=fleet),
        timeout_seconds=_IDENTITY_LIMIT_SECONDS,
    )


def _see_fleet(command: str, *, fleet: Path) -> None:
    # What the report says of nodes that failed comes from there, and never from an earlier run.
    (LOGS / f"cdktf-{command}.log").unlink(missing_ok=True)
    if command == "deploy" and is_lab_fleet(fleet):
        lab_up(fleet=fleet)
    if not fleet.is_file():
        fix = (
            "`make lab-up` or `make deploy` writes it"
            if is_lab_fleet(fleet)
            else "start from fleets/example.yaml, or set FLEET to another file"
        )
        raise CommandError(f"the fleet file {shown(fleet)} does not exist. Fix: {fix}.")


def _run(
    argv: Sequence[str],
    *,
    title: str,
    log: str,
    env: Mapping[str, str],
    timeout_seconds: float,
    readable: Callable[[str], str | None] | None = None,
) -> Outcome:
    progress = Progress(stream=sys.stdout, live=False)
    progress.note(f"...   {title}")
    outcome = run_shown(
        argv,
        title=title,
        log=LOGS / log,
        env=env,
        cwd=ROOT,
        timeout_seconds=timeout_seconds,
        readable=readable,
    )
    if outcome.exit_code != 0:
        raise CommandError(
            f"{title} failed after {outcome.seconds:.0f} s with exit code {outcome.exit_code} "
            f"(all of its output: {shown(outcome.log)})"
            # Without a filter its last words are on the screen already.
            + ("" if readable is None else "".join(f"\n  {line}" for line in cause(outcome.lines)))
        )
    progress.note(f"ok    {title}: {outcome.seconds:.0f} s")
    return outcome


if __name__ == "__main__":
    # Ended from outside, Terraform must still write its state: treated as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
