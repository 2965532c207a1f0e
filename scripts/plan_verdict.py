"""Whether a plan may pass: its exit code, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scripts.plan_changes import COUNTED, Changes, NodeChange

Result = Literal["no-changes", "changes", "refused", "error"]
EXIT_CODES: Mapping[Result, int] = {"no-changes": 0, "changes": 2, "refused": 1, "error": 1}
FORMAT = 1
"""Of the JSON; a key that is renamed or removed raises it."""


@dataclass(frozen=True)
class Verdict:
    """What a diff found.

    Attributes:
        fleet: the fleet's name.
        stack: the stack's.
        changes: what the plan changes; None after an error.
        refreshed: whether the plan looked at the real objects.
        compared_with: the state it was compared with, in words.
        refusals: why it may not pass, with the flag that lets it.
        error: the message, when there is no plan.
    """

    fleet: str
    stack: str
    changes: Changes | None = None
    refreshed: bool = True
    compared_with: str = ""
    refusals: tuple[str, ...] = ()
    error: str | None = None

    @property
    def result(self) -> Result:
        """One word for it."""
        if self.changes is None or self.error is not None:
            return "error"
        if self.refusals:
            return "refused"
        return "changes" if self.changes.any else "no-changes"

    @property
    def exit_code(self) -> int:
        """0 no changes, 2 changes, 1 an error, or changes that nobody allowed."""
        return EXIT_CODES[self.result]

    def as_json(self) -> dict[str, Any]:
        """For machines; docs/pull-requests.md describes it."""
        changes = self.changes or Changes()
        nodes: dict[str, list[dict[str, Any]]] = {}
        for change in changes.steps:
            nodes.setdefault(change.step.node, []).append(_step(change))
        return {
            "format": FORMAT,
            "fleet": self.fleet,
            "stack": self.stack,
            "result": self.result,
            "exit_code": self.exit_code,
            "error": self.error,
            "refusals": list(self.refusals),
            "refreshed": self.refreshed,
            "not_refreshed": changes.unread,
            "compared_with": self.compared_with,
            "terraform_version": changes.terraform_version,
            "counts": changes.counts,
            "nodes": nodes,
            "objects": [
                {"address": one.address, "action": one.action, "why": list(one.why)} for one in changes.objects
            ],
            "k3s_restarts": [
                {"node": one.step.node, "role": one.step.role, "restart": one.restart, "why": list(one.why)}
                for one in changes.restarts
            ],
            "destroys": [{"address": one.address, "node": one.node, "what": one.what} for one in changes.losses],
            "moved": changes.moved,
            "changed_outside": changes.drifted,
            "outputs": changes.outputs,
        }


def refusals(changes: Changes, *, allow_destroy: bool, allow_server_restart: bool) -> tuple[str, ...]:
    """Why a plan may not pass.

    Args:
        changes: the plan's.
        allow_destroy: somebody has allowed that something is destroyed.
        allow_server_restart: somebody has allowed that K3s restarts on servers.
    """
    found = []
    if changes.losses and not allow_destroy:
        found.append(
            f"it destroys {_several(len(changes.losses), 'thing')}: {changes.losses[0].what}"
            f"{_more(len(changes.losses))}. "
            "Allow it by --allow-destroy or by the label allow-destroy on the pull request"
        )
    servers = sorted({one.step.node for one in changes.server_restarts})
    if servers and not allow_server_restart:
        may = "may restart" if all(one.restart == "possible" for one in changes.server_restarts) else "restarts"
        found.append(
            f"it {may} K3s on {_several(len(servers), 'server')}: {', '.join(servers[:3])}"
            f"{_more(len(servers), shown=3)}. Allow it by --allow-server-restart or by the label allow-server-restart "
            "on the pull request"
        )
    return tuple(found)


def counted(changes: Changes) -> str:
    """The counts as a sentence: `1 to add, 0 to change, 2 to replace, 0 to destroy`."""
    return ", ".join(f"{changes.counts[action]} to {action}" for action in COUNTED)


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _more(count: int, *, shown: int = 1) -> str:
    return f", and {count - shown} more" if count > shown else ""


def _step(change: NodeChange) -> dict[str, Any]:
    return {
        "phase": change.step.phase,
        "step": change.step.step,
        "action": change.action,
        "runs": change.runs,
        "k3s_restart": change.restart,
        "why": list(change.why),
        "address": change.address,
    }
