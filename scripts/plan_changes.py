"""A plan's JSON as what it does to a fleet: per node, to Kubernetes objects, and what of it needs a second look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scripts.plan_steps import (
    K3S_STEP,
    PHASES,
    REBOOT_STEP,
    Restart,
    Step,
    is_login_only,
    loss_of,
    reasons,
    restart_of,
    step_of,
)
from scripts.plan_values import differences
from stacks.plan_only import GUARD

ACTIONS = {
    ("create",): "add",
    ("update",): "change",
    ("delete",): "destroy",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
    ("forget",): "forget",
}
COUNTED = ("add", "change", "replace", "destroy")
# A job and an image are made by running something: made anew, nothing that anybody uses is lost.
_RUN_AGAIN = ("kubernetes_job", "docker_image", "docker_registry_image", "terraform_data")


@dataclass(frozen=True)
class NodeChange:
    """A step of one machine that changes.

    Attributes:
        address: Terraform's.
        step: which step.
        action: `add`, `change`, `replace` or `destroy`.
        runs: whether anything runs on the machine.
        why: one reason a line.
        restart: whether K3s restarts.
    """

    address: str
    step: Step
    action: str
    runs: bool
    why: tuple[str, ...]
    restart: Restart


@dataclass(frozen=True)
class ObjectChange:
    """Another resource that changes: a Kubernetes object, a Helm release, an image."""

    address: str
    action: str
    why: tuple[str, ...]


@dataclass(frozen=True)
class Loss:
    """Something that is destroyed."""

    address: str
    what: str
    node: str | None = None


@dataclass
class Changes:
    """All that a plan changes.

    Attributes:
        steps: of machines.
        objects: other resources.
        losses: what is destroyed.
        moved: resources with another address: the new one by the old one.
        drifted: what was changed outside of Terraform and the plan acts on.
        outputs: names of outputs that change.
        unread: what a plan without access could not look at.
        terraform_version: that made the plan.
    """

    steps: list[NodeChange] = field(default_factory=list)
    objects: list[ObjectChange] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)
    drifted: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    terraform_version: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """How many resources are added, changed, replaced and destroyed; a replaced one counts once."""
        actions = [step.action for step in self.steps] + [other.action for other in self.objects]
        return {action: actions.count(action) for action in COUNTED}

    @property
    def any(self) -> bool:
        """Whether an apply would do anything."""
        return bool(self.steps or self.objects or self.moved or self.outputs)

    @property
    def restarts(self) -> list[NodeChange]:
        """Where K3s restarts or may restart, servers first."""
        found = [change for change in self.steps if change.restart != "no"]
        return sorted(found, key=lambda change: (change.step.role != "server", change.step.node))

    @property
    def server_restarts(self) -> list[NodeChange]:
        """Those of servers; a machine whose role nothing tells counts as one."""
        return [change for change in self.restarts if change.step.role != "agent"]


def read_changes(plan: Mapping[str, Any], *, nodes: Mapping[str, str], refreshed: bool) -> Changes:
    """Sort a plan's changes.

    Args:
        plan: what read_plan() read: without sensitive values.
        nodes: role by node name, as the fleet file has them.
        refreshed: whether the plan looked at the real objects.
    """
    changes = Changes(terraform_version=str(plan.get("terraform_version", "")))
    known = [*plan.get("resource_changes", [])]
    for change in known:
        if change["address"] != GUARD:
            _sort(change, changes=changes, nodes=nodes, refreshed=refreshed)
    order = list(PHASES)
    changes.steps.sort(
        key=lambda one: (one.step.node, order.index(one.step.step) if one.step.step in order else len(order))
    )
    for name, output in plan.get("output_changes", {}).items():
        if output["actions"] == ["no-op"]:
            continue
        if not refreshed and output.get("after_unknown"):
            changes.unread.append(f"output {name}")
        else:
            changes.outputs.append(name)
    new = {one.step.node for one in changes.steps if one.step.step == K3S_STEP and one.action == "add"}
    changes.steps = [replace(one, restart="no") if one.step.node in new else one for one in changes.steps]
    # What is forgotten of a machine that K3s is taken off needs no second line.
    cleaned = {one.step.node for one in changes.steps if one.step.at_destroy and one.runs}
    forgotten = {one.address for one in changes.steps if not one.runs and one.step.node in cleaned}
    changes.losses = [loss for loss in changes.losses if loss.address not in forgotten]
    planned = {change["address"] for change in known if tuple(change["change"]["actions"]) in ACTIONS}
    for drift in plan.get("resource_drift", []):
        if drift["address"] in planned:
            changes.drifted.append(_drift(drift))
    return changes


def _sort(change: Mapping[str, Any], *, changes: Changes, nodes: Mapping[str, str], refreshed: bool) -> None:
    address, type_ = change["address"], change["type"]
    if change.get("previous_address", address) != address:
        changes.moved[change["previous_address"]] = address
    if not refreshed and type_ != "terraform_data" and change["change"]["actions"] != ["create"]:
        changes.unread.append(address)
    action = ACTIONS.get(tuple(change["change"]["actions"]))
    if action is None or change["mode"] != "managed":
        return
    before, after = (_mapping(change["change"].get(side)) for side in ("before", "after"))
    why = change.get("action_reason")
    if not refreshed and type_ == "terraform_data" and action == "change" and is_login_only(before, after):
        # A runner that plans without secrets has no SSH key, so its path says nothing of a deploy's.
        changes.unread.append("SSH key path")
        return
    step = step_of(type_, change["name"], after or before, nodes=nodes, index=change.get("index"))
    if step is None:
        attributes = _attributes(change["change"], before, after) if action in ("change", "replace") else ()
        changes.objects.append(ObjectChange(address=address, action=action, why=attributes))
        if action == "destroy":
            changes.losses.append(Loss(address=address, what=f"{address} is destroyed"))
        elif action == "replace" and not type_.startswith(_RUN_AGAIN):
            changes.losses.append(Loss(address=address, what=f"{address} is destroyed and made anew"))
        return
    found = reasons(before, after, why=why) if action == "replace" else {}
    said = tuple(found.values())
    if type_ != "terraform_data" and "unknown" in found:
        said = _attributes(change["change"], before, after) or said
    loss = None
    if action in ("replace", "destroy"):
        machine = before.get("triggers_replace")
        loss = loss_of(
            step, action=action, why=why, address=machine.get("address", "") if isinstance(machine, dict) else ""
        )
    if loss is not None:
        changes.losses.append(Loss(address=address, what=loss, node=step.node))
    changes.steps.append(
        NodeChange(
            address=address,
            step=step,
            action=action,
            runs=_runs(step, action=action, why=why),
            why=said,
            restart=restart_of(step, found) if _runs_where_k3s_runs(step, action) else "no",
        )
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _runs_where_k3s_runs(step: Step, action: str) -> bool:
    """A step that is new may be its machine's first, but for a reboot, which may be allowed at any time."""
    return action == "replace" or (action == "add" and step.step == REBOOT_STEP)


def _runs(step: Step, *, action: str, why: str | None) -> bool:
    if step.at_destroy:
        return action == "replace" or (action == "destroy" and not (why or "").startswith("delete_because_no_"))
    return action in ("add", "replace")


def _attributes(change: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Which attributes differ; those that force the replacement alone, where Terraform names any."""
    forcing = sorted({str(path[0]) for path in change.get("replace_paths", []) if path})
    if forcing:
        return tuple(f"{name} differs" for name in forcing)
    unknown = change.get("after_unknown")
    known = {key: value for key, value in after.items() if not (isinstance(unknown, dict) and unknown.get(key) is True)}
    same_keys = {key: value for key, value in before.items() if key in known}
    # Whole blocks are long and say little; a name leads to the place in the full plan.
    return tuple(f"{name} differs" for name in differences(same_keys, known))


def _drift(change: Mapping[str, Any]) -> str:
    if change["change"]["actions"] == ["delete"]:
        return f"{change['address']} is gone"
    before, after = (_mapping(change["change"].get(side)) for side in ("before", "after"))
    # Names alone: values that came from outside may be anything.
    names = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    return f"{change['address']}: {', '.join(names) or 'changed'}"
