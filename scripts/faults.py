"""Runs the fault suite on its own lab and prints what became of each fault: `python -m scripts.faults`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.checkout import BUILD, ROOT, shown
from scripts.environment import command_environment
from scripts.table import render

FAULTS_FILE = BUILD / "faults.json"
README = ROOT / "README.md"
SUITE = "tests/lab/faults"
BEGIN = "<!-- faults: written by `python -m scripts.faults --readme` -->"
END = "<!-- /faults -->"
SURVIVED = "survived"
FAULTS = (
    "node unreachable at the start",
    "connection hanging (packets dropped)",
    "wrong host key",
    "changed host key",
    "no sudo",
    "foreign K3s on the node",
    "the old k3d config.toml.tmpl in place",
    "disk full",
    "clock off by 10 minutes",
    "duplicate host name",
    "apt lock held for 60 s",
    "dpkg interrupted",
    "wrong checksum",
    "truncated download",
    "mirror down, then up",
    "node lost in the middle",
    "sshd killed mid-script",
    "reboot in the middle",
    "K3s installed before the toolkit",
    "device plugin crash-looping",
    "GPU gone after deploy",
    "label removed",
    "RuntimeClass deleted",
    "bad K3s option (config rolled back)",
    "token changed",
    "two deploys at once (state lock)",
    "terraform killed with -9 in the middle of each phase",
    "destroy with a node off",
    "rejoin with the same name",
)
"""All of them, in the table's order."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one fault.

    Attributes:
        fault: what was done to the fleet.
        verdict: "survived", or what went wrong.
        seconds: how long the deploy that recovered from it took, up to what the fault had stopped.
    """

    fault: str
    verdict: str
    seconds: float


def main(arguments: list[str] | None = None) -> int:
    """Run the suite, then print the table. Exit code 0 when every fault was survived, else 1."""
    parser = argparse.ArgumentParser(prog="python -m scripts.faults", description=__doc__)
    parser.add_argument("--table", action="store_true", help="print the table of the last run; run nothing")
    parser.add_argument("--readme", action="store_true", help="put the last run's table into README.md; run nothing")
    options = parser.parse_args(arguments)
    if not (options.table or options.readme):
        FAULTS_FILE.unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", SUITE, "-q"],
            cwd=ROOT,
            env=command_environment(fleet=ROOT / "fleets" / "lab.yaml"),
            check=False,
        )
        if done.returncode not in (0, 1):
            return done.returncode
    try:
        verdicts = read_verdicts(FAULTS_FILE)
    except FileNotFoundError:
        print(f"error: {shown(FAULTS_FILE)} is not there. Fix: make faults", file=sys.stderr)
        return 1
    if options.readme:
        README.write_text(with_table(README.read_text(), as_markdown(verdicts)))
        print(f"wrote the table into {shown(README)}")
        return 0
    print(f"\n{as_text(verdicts)}\n({shown(FAULTS_FILE)} holds the same)")
    return 0 if all(verdict.verdict == SURVIVED for verdict in verdicts) else 1


def write_verdicts(verdicts: Sequence[Verdict], *, path: Path) -> None:
    """Write them as a JSON list of objects with `fault`, `verdict` and `seconds`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted(verdicts, key=lambda verdict: FAULTS.index(verdict.fault))
    rows = [{**asdict(verdict), "seconds": round(verdict.seconds, 1)} for verdict in ordered]
    path.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")


def read_verdicts(path: Path) -> list[Verdict]:
    """What `write_verdicts` wrote.

    Raises:
        FileNotFoundError: the suite has not run.
    """
    return [Verdict(**row) for row in json.loads(path.read_text())]


def as_text(verdicts: Sequence[Verdict]) -> str:
    """The table for a terminal, and how many faults were survived."""
    rows = [(verdict.fault, verdict.verdict, f"{verdict.seconds:.0f}") for verdict in verdicts]
    survived = sum(verdict.verdict == SURVIVED for verdict in verdicts)
    return f"{render(('FAULT', 'VERDICT', 'SECONDS'), rows)}\n\n{survived} of {len(verdicts)} faults survived"


def as_markdown(verdicts: Sequence[Verdict]) -> str:
    """The table for README.md."""
    lines = ["| fault | verdict | seconds |", "| --- | --- | ---: |"]
    lines += [f"| {verdict.fault} | {verdict.verdict} | {verdict.seconds:.0f} |" for verdict in verdicts]
    return "\n".join(lines)


def with_table(text: str, table: str) -> str:
    """`text` with the table between its two marks replaced.

    Raises:
        ValueError: the marks are not there once each.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"the text must have {BEGIN!r} and {END!r} once each")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    sys.exit(main())
