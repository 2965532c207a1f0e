"""A verdict as a table on a terminal."""

from __future__ import annotations

from scripts.plan_changes import Changes, NodeChange
from scripts.plan_steps import FOLLOWS
from scripts.plan_verdict import Verdict, counted
from scripts.table import render

RESTART_WORDS = {"yes": "restarts", "possible": "may restart", "no": ""}


def as_text(verdict: Verdict) -> str:
    """What a plan does, in the order: nodes, other resources, what needs a second look, sum."""
    changes = verdict.changes
    if changes is None:
        return ""
    lines = [f"Fleet {verdict.fleet}, stack {verdict.stack}, compared with {verdict.compared_with}", ""]
    rows = node_rows(changes)
    if rows:
        lines += [render(("NODE", "RUNS", "K3S", "WHY"), [[node, runs, k3s, why] for node, runs, k3s, why in rows]), ""]
    lines += [
        f"{one.action:8} {one.address}" + (f": {', '.join(one.why)}" if one.why else "") for one in changes.objects
    ]
    lines += [f"moved    {old} is now {new}" for old, new in changes.moved.items()]
    lines += [f"outside  {one}: changed outside of Terraform" for one in changes.drifted]
    lines += [f"output   {name} changes" for name in changes.outputs]
    lines += [f"DESTROY  {loss.what}" for loss in changes.losses]
    lines += [
        f"RESTART  K3s on {one.step.node} ({one.step.role or 'role unknown'}) {RESTART_WORDS[one.restart]}"
        for one in changes.restarts
    ]
    if not verdict.refreshed:
        lines.append(f"not refreshed: {not_refreshed(changes)}")
    lines.append(f"{counted(changes)}." if changes.any else "No changes.")
    return "\n".join(lines)


def node_rows(changes: Changes) -> list[tuple[str, list[str], str, list[str]]]:
    """One row a node: its name, the phases that run there in order, what K3s does, and why."""
    rows = []
    for node in dict.fromkeys(change.step.node for change in changes.steps):
        own = [change for change in changes.steps if change.step.node == node]
        worst = max((change.restart for change in own), key=("no", "possible", "yes").index)
        role = next((change.step.role for change in own if change.step.role), None)
        rows.append(
            (
                f"{node} ({role})" if role else node,
                [_phase(change) for change in own if change.runs] or ["nothing"],
                RESTART_WORDS[worst],
                _reasons(own),
            )
        )
    return rows


def not_refreshed(changes: Changes) -> str:
    """What a plan without access did not look at, in a sentence."""
    kinds: dict[str, int] = {}
    for address in changes.unread:
        parts = address.split(".")
        kind = address if " " in address else ".".join(parts[:2] if parts[0] == "data" else parts[:1])
        kinds[kind] = kinds.get(kind, 0) + 1
    listed = ", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return f"machines and cluster ({listed})" if listed else "machines and cluster"


def _phase(change: NodeChange) -> str:
    return change.step.phase if change.action != "replace" else f"{change.step.phase} again"


def _reasons(changes: list[NodeChange]) -> list[str]:
    """Each reason once; what only follows from another step of the node is left out."""
    found = [reason for change in changes for reason in _whys(change)]
    causes = [reason for reason in found if not reason.endswith(FOLLOWS)]
    return list(dict.fromkeys(causes or found))


def _whys(change: NodeChange) -> list[str]:
    if change.action == "replace":
        return [f"{change.step.phase}: {reason}" for reason in change.why]
    if change.action == "destroy" and not change.runs:
        return ["leaves the configuration"]
    return ["new"] if change.action == "add" else []
