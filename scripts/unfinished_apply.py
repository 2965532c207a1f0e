"""Steps that a killed Terraform left half done, and that its state calls done.

Terraform saves its state every 20 s while it applies, also of a resource whose provisioners still run; killed then (-9,
power cut), it would never run that step again. With the local backend a killed Terraform leaves its lock's description
behind: then every step in the state is run again. Each of them does nothing where nothing is missing.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path

STATE = "terraform.tfstate"
_LOCK_INFO = f".{STATE}.lock.info"
_NOTE = "unfinished-steps"
_STEP_MARK = "script_sha256"


def note_unfinished_steps(edge_folder: Path) -> list[str]:
    """Addresses of the steps to run again, kept in a file until `forget_unfinished_steps`: any plan clears the lock.

    Args:
        edge_folder: the fleet's `.edge/<name>`, where the local backend keeps the state.
    """
    note = edge_folder / _NOTE
    found = unfinished_steps(edge_folder)
    if found:
        note.write_text("\n".join(found) + "\n")
    return note.read_text().split() if note.is_file() else []


def forget_unfinished_steps(edge_folder: Path) -> None:
    """They ran: call it after a deploy that ended well."""
    (edge_folder / _NOTE).unlink(missing_ok=True)


def unfinished_steps(edge_folder: Path) -> list[str]:
    """Every step in the state when the last apply was killed; none when it ended by itself, or one runs right now.

    Args:
        edge_folder: the fleet's `.edge/<name>`, where the local backend keeps the state.
    """
    state = edge_folder / STATE
    if not (edge_folder / _LOCK_INFO).is_file() or not state.is_file() or _is_locked(state):
        return []
    try:
        resources = json.loads(state.read_text())["resources"]
    except (ValueError, KeyError):
        return []  # Terraform says best what is wrong with its state.
    return sorted(
        f"{resource['type']}.{resource['name']}"
        for resource in resources
        if resource["mode"] == "managed" and any(_is_step(instance) for instance in resource["instances"])
    )


def replacing(steps: list[str], *, env: Mapping[str, str]) -> dict[str, str]:
    """The environment with which Terraform's apply runs these steps again."""
    if not steps:
        return dict(env)
    wanted = " ".join([env.get("TF_CLI_ARGS_apply", ""), *(f"-replace={step}" for step in steps)]).strip()
    return {**env, "TF_CLI_ARGS_apply": wanted}


def _is_step(instance: Mapping[str, object]) -> bool:
    attributes = instance.get("attributes")
    return isinstance(attributes, dict) and _STEP_MARK in json.dumps(attributes.get("triggers_replace"))


def _is_locked(state: Path) -> bool:
    """Whether a Terraform holds the state: the lock of its local backend is one of POSIX on the file itself."""
    descriptor = os.open(state, os.O_RDWR)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
