"""What the benchmark measures, what each figure should be, and what it is compared with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scripts.table import render

_DONE_AFTER = re.compile(
    r"(?P<address>\S+)(?: \([^)]*\))?: (?:Creation|Destruction|Modifications|Read) complete after (?P<time>\S+)"
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
    "lab_up": Target(title="lab up, 3 nodes", limit=30.0),
    "deploy": Target(
        title="deploy, bare nodes to GPU checks passed",
        limit=75.0,
        compared_with="k3s-ansible without any GPU step: 54 s",
    ),
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
        slowest: the steps that took longest, "12 s address", longest first.
    """

    name: str
    value: float
    detail: str = ""
    slowest: Sequence[str] = ()

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.value <= TARGETS[self.name].limit


def slowest_steps(lines: Iterable[str], *, count: int = 6) -> list[str]:
    """The steps that Terraform said took longest, as "12 s address".

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
            found.append((hours * 3600 + minutes * 60 + seconds, match["address"]))
    found.sort(key=lambda step: -step[0])
    return [f"{seconds} s {address}" for seconds, address in found[:count] if seconds > 0]


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
    for figure in figures:
        if not figure.met and figure.slowest:
            lines += ["", f"Slowest steps of {TARGETS[figure.name].title}:", *(f"  {step}" for step in figure.slowest)]
    return "\n".join(lines)
