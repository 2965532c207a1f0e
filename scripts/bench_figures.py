"""What the benchmark measures, what each figure should be, and what it is compared with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scripts.table import render

_RESOURCE = r"(?P<address>\S+)(?: \((?P<path>[^)]*)\))?: "
_DONE_AFTER = re.compile(_RESOURCE + r"(?:Creation|Destruction|Modifications|Read) complete after (?P<time>\S+)")
_APPLIED = r"(?:Apply|Destroy) complete!"
# Each phase with what is printed when it is over.
_PHASES = (
    ("synth", re.compile(r"Initializing the backend")),
    ("init", re.compile(_RESOURCE + r"(?:Refreshing state|Reading)|\S+ used the selected|Plan: |No changes")),
    ("plan", re.compile(_RESOURCE + rf"(?:Creating|Destroying|Modifying)\.\.\.|{_APPLIED}")),
    ("apply", re.compile(_APPLIED)),
)
_TIME = re.compile(r"(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?P<seconds>\d+)s")


@dataclass(frozen=True, kw_only=True)
class Target:
    """What one figure should be on a 2-core machine with warm caches.

    Attributes:
        title: what is measured.
        limit: the figure should be at most this.
        unit: "s", or "x" for a ratio.
        compared_with: the same job elsewhere, as measured for the same three nodes.
    """

    title: str
    limit: float
    unit: str = "s"
    compared_with: str = ""


TARGETS = {
    "synth_ratio": Target(title="main.py, in bare `import cdktf`", limit=3.0, unit="x"),
    "synth_1000": Target(title="synth of 1,000 nodes", limit=15.0),
    "lab_up": Target(title="lab up, 3 nodes", limit=30.0),
    "deploy": Target(
        title="deploy, bare nodes to GPU checks passed",
        limit=75.0,
        compared_with="k3s-ansible without any GPU step: 54 s",
    ),
    "offline_deploy": Target(title="the same deploy from a bundle", limit=90.0),
    "second_deploy": Target(
        title="second deploy, no change", limit=15.0, compared_with="k3s-ansible: 51 s, K3s restarted on every node"
    ),
    "destroy": Target(title="destroy", limit=30.0, compared_with="k3s-ansible reset: 13 s"),
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure.

    Attributes:
        name: its key in TARGETS.
        value: in the target's unit.
        detail: what it was made from.
        slowest: the steps that took longest, "12 s path", longest first.
        phases: cdktf's phases, "3.1 s synth", in their order.
    """

    name: str
    value: float
    detail: str = ""
    slowest: Sequence[str] = ()
    phases: Sequence[str] = ()

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.value <= TARGETS[self.name].limit


def slowest_steps(lines: Iterable[str], *, count: int = 6) -> list[str]:
    """The steps that Terraform said took longest, as "12 s path".

    Args:
        lines: what `cdktf deploy` or `cdktf destroy` printed.
        count: how many to return.
    """
    found = []
    for line in lines:
        match = _DONE_AFTER.search(line)
        time = _TIME.fullmatch(match["time"]) if match else None
        if match and time:
            hours, minutes, seconds = (int(part or 0) for part in time.group("hours", "minutes", "seconds"))
            found.append((hours * 3600 + minutes * 60 + seconds, match["path"] or match["address"]))
    found.sort(key=lambda step: -step[0])
    return [f"{seconds} s {address}" for seconds, address in found[:count] if seconds > 0]


def phases(lines: Sequence[str], seconds_at: Sequence[float], *, total_seconds: float) -> list[str]:
    """How long each of cdktf's phases took, as "3.1 s synth", in their order; the rest is its end.

    Args:
        lines: what cdktf printed, without frames.
        seconds_at: when each line came, from the start.
        total_seconds: how long the command took.
    """
    found: list[str] = []
    begun = 0.0
    remaining = list(_PHASES)
    for line, now in zip(lines, seconds_at, strict=True):
        while remaining and remaining[0][1].match(line):
            found.append(f"{now - begun:.1f} s {remaining.pop(0)[0]}")
            begun = now
    return [*found, f"{total_seconds - begun:.1f} s end"]


def as_text(figures: Sequence[Figure]) -> str:
    """The figures beside their targets, and where the time went when one is missed."""
    rows = []
    for figure in figures:
        target = TARGETS[figure.name]
        rows.append(
            [
                target.title,
                f"{figure.value:.1f} {target.unit}",
                f"{target.limit:g} {target.unit}",
                "yes" if figure.met else "NO",
                target.compared_with,
            ]
        )
    lines = [render(("WHAT", "HERE", "AT MOST", "MET", "ELSEWHERE"), rows)]
    lines += [f"{TARGETS[figure.name].title}: {figure.detail}" for figure in figures if figure.detail]
    for figure in figures:
        if not figure.met and (figure.phases or figure.slowest):
            lines += ["", f"Where the time of {TARGETS[figure.name].title} went: {', '.join(figure.phases)}"]
            lines += [f"  {step}" for step in figure.slowest]
    return "\n".join(lines)
