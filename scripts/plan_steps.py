"""What a planned change of a step means for its machine: what runs there, whether K3s restarts, what is lost.

The rules are those of the constructs: RemoteStep runs its script when its resource is made, DestroyStep when its own is
destroyed, and `k3s_node.sh` restarts K3s when its binary, unit, configuration or token changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scripts.plan_values import differences

Restart = Literal["no", "possible", "yes"]

K3S_STEP = "k3s"
UNINSTALL_STEP = "uninstall"
REBOOT_STEP = "reboot"
PHASES = {
    "preflight": "preflight",
    "driver": "driver",
    REBOOT_STEP: "reboot if the driver needs one",
    "rebooted": "check after a reboot",
    "toolkit": "container toolkit",
    K3S_STEP: "K3s",
    UNINSTALL_STEP: "uninstall",
    "gpu-gate": "GPU gate",
    "job": "GPU check",
}
"""Steps in the order in which they run, with what they are called here."""

# Parameters of k3s_node.sh. What is in neither set may restart K3s.
_RESTARTING = {"ROLE", "K3S_VERSION", "K3S_SHA256", "CONFIG", "REGISTRIES", "TOKEN_ID"}
_HARMLESS = {"K3S_URL", "IMAGE_ARCHIVES", "START_TIMEOUT_SECONDS", "GPUS"}

FOLLOWS = "what it waits for runs again"

_RECORD = ("NODE", "STEP", "SCRIPT")
_IDENTITY = ("address", "port", "host_key")


@dataclass(frozen=True)
class Step:
    """A step of a machine in a plan.

    Attributes:
        node: the machine's name.
        step: its name, one of PHASES or another construct's.
        at_destroy: it runs when it is destroyed (DestroyStep), not when it is made.
        role: of the machine, where the step knows it.
    """

    node: str
    step: str
    at_destroy: bool
    role: str | None = None

    @property
    def phase(self) -> str:
        """What a reader calls it."""
        return PHASES.get(self.step, self.step)


def step_of(
    type_: str, name: str, values: Mapping[str, Any], *, nodes: Mapping[str, str], index: str | int | None = None
) -> Step | None:
    """Which step a resource is; None when it is none.

    Args:
        type_: resource type.
        name: resource name.
        values: its values, after the change or, for one that goes, before.
        nodes: role by node name, as the fleet file has them.
        index: of an instance, where the resource has several.
    """
    parts = re.sub(r"_[0-9A-F]{8}$", "", name).split("_")
    if type_.startswith("kubernetes_job"):
        # GpuCheck's: <check>/<node>/job.
        return (
            Step(node=parts[-2], step="job", at_destroy=False)
            if len(parts) > 1 and parts[-1] == "job" and parts[-2] in nodes
            else None
        )
    if type_ != "terraform_data" or parts[-1] not in ("run", "on-destroy"):
        return None
    if isinstance(index, str):
        # NodeRemoval's, with an instance for each machine.
        machine = values.get("triggers_replace")
        role = machine.get("role") if isinstance(machine, dict) else None
        return Step(node=index, step=UNINSTALL_STEP, at_destroy=True, role=role or nodes.get(index))
    remembered = values.get("input")
    remembered = remembered if isinstance(remembered, dict) else {}
    step = remembered.get("STEP")
    node = remembered.get("NODE")
    if step is None or node is None:
        # Made by a version whose resources did not say it. The paths are <cluster>/<node>/<step>/run and
        # <cluster>/<node>/node/<step>/run; the names of nodes and constructs have no underscore.
        step = parts[-2] if len(parts) > 1 else parts[-1]
        node = next((part for part in parts[:-2] if part in nodes), None)
        if node is None and len(parts) > 2:
            node = parts[-4] if len(parts) > 3 and parts[-3] == "node" else parts[-3]
    if node is None:
        return None
    role = remembered.get("ROLE") or nodes.get(node)
    return Step(node=node, step=step, at_destroy=parts[-1] == "on-destroy", role=role)


def reasons(before: Mapping[str, Any], after: Mapping[str, Any], *, why: str | None) -> dict[str, str]:
    """Why a step's resource is made anew: by the name of what changed, what to say of it.

    Args:
        before: values before.
        after: values after.
        why: Terraform's `action_reason`.
    """
    if why == "replace_because_tainted":
        return {"tainted": "its last run failed"}
    if why == "replace_by_request":
        return {"request": "asked for with -replace"}
    old, new = before.get("triggers_replace"), after.get("triggers_replace")
    old, new = (old if isinstance(old, dict) else {}), (new if isinstance(new, dict) else {})
    found = differences({key: old.get(key) for key in _IDENTITY}, {key: new.get(key) for key in _IDENTITY})
    remembered, wanted = before.get("input"), after.get("input")
    if isinstance(remembered, dict) and isinstance(wanted, dict) and "STEP" in remembered:
        found |= differences(
            {key: value for key, value in remembered.items() if key not in _RECORD},
            {key: value for key, value in wanted.items() if key not in _RECORD},
        )
        if remembered.get("SCRIPT") != wanted.get("SCRIPT"):
            found["SCRIPT"] = f"{str(wanted.get('SCRIPT')).partition(' ')[0]} is another version"
        if "K3S_VERSION" in found:
            # Its address holds the version.
            found.pop("K3S_URL", None)
    elif old.get("script_sha256") != new.get("script_sha256"):
        found["script_sha256"] = "its script or parameters differ; the state does not say which"
    # A trigger that is not known before the apply is missing in the plan.
    if not found and (why == "replace_by_triggers" or set(old) - set(new)):
        found["triggers"] = FOLLOWS
    return found or {"unknown": "see the full plan"}


def restart_of(step: Step, changed: Mapping[str, str]) -> Restart:
    """Whether K3s restarts on a machine whose step is made anew.

    Args:
        step: the step.
        changed: what reasons() found.
    """
    if step.step == REBOOT_STEP:
        return "possible"
    if step.step != K3S_STEP or step.at_destroy:
        return "no"
    if _RESTARTING & set(changed):
        return "yes"
    return "no" if set(changed) <= _HARMLESS else "possible"


def is_login_only(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether nothing changes but where this machine has its SSH key, which differs between operators."""
    old, new = before.get("input"), after.get("input")
    return old != new and _without_key_path(old) == _without_key_path(new)


def _without_key_path(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return _without_key_path(json.loads(value))
        except ValueError:
            return value
    if isinstance(value, list):
        return [_without_key_path(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_key_path(item) for key, item in value.items() if key != "private_key_path"}
    return value


def loss_of(step: Step, *, action: str, why: str | None, address: str) -> str | None:
    """What is lost when a step's resource goes or is made anew; None: nothing.

    Args:
        step: the step.
        action: `replace` or `destroy`.
        why: Terraform's `action_reason`.
        address: of the machine, before the change.
    """
    where = f"{step.node} ({address})" if address else step.node
    if action == "replace":
        if not step.at_destroy:
            return None
        if step.step == UNINSTALL_STEP:
            return f"K3s and its data are taken off {where}, then K3s is installed anew"
        return f"{step.phase} runs on {where}, then the step is made anew"
    if why and why.startswith("delete_because_no_"):
        # Terraform runs no destroy provisioner that the configuration no longer has.
        what = "nothing is cleaned up there" if step.at_destroy else "nothing runs on the machine"
        return f"{step.phase} of {where} is forgotten; {what}"
    if step.at_destroy:
        what = "K3s and its data are taken off" if step.step == UNINSTALL_STEP else f"{step.phase} runs on"
        return f"{what} {where}"
    return f"{step.phase} of {where} is forgotten; nothing runs on the machine"
