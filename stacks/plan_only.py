"""Synthesis on a machine that has none of a fleet's secrets: to be planned and read, never to be applied.

`edge-gpu diff` sets the variable EDGE_GPU_PLAN_ONLY to a folder that it makes and removes. In it lies a throw-away
identity, whose paths take the place of the real one's: they are in provider settings and provisioners alone, so every
address and every trigger is the same as with the secrets.

What is synthesized so cannot be applied by mistake:

- No resource keeps a provisioner or a connection, so no machine is touched. Neither is part of a plan's changes.
- The state is a copy in that folder; the real backend's settings lie beside it, for reading only.
- Every resource waits for one whose creation fails with a message. Data sources wait for it too, so a plan reads
  nothing from a cluster.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from constructs_lib.cluster_identity import ClusterIdentity

VARIABLE = "EDGE_GPU_PLAN_ONLY"
GUARD_NAME = "plan-only"
GUARD = f"terraform_data.{GUARD_NAME}"
TOKEN_IDS = "token-ids.json"
"""In the run's folder: the token ids of the last state, by role."""

REFUSAL = "this was planned without the secrets of the fleet, to be read only; deploy with make deploy"


class PlanOnlyError(Exception):
    """The synthesized stacks cannot be made harmless; the message says which, why and what to do."""


class _ThrowAwayIdentity(ClusterIdentity):
    """An identity that says of its tokens what the last state says: a later rotation is not known here."""

    def token_id(self, *, role: Literal["server", "agent"]) -> str:
        known = self.directory.parent / TOKEN_IDS
        ids: dict[str, str] = json.loads(known.read_text()) if known.is_file() else {}
        return ids.get(role) or super().token_id(role=role)


@dataclass(frozen=True)
class PlanOnly:
    """One planning run.

    Attributes:
        folder: Absolute path of its folder.
    """

    folder: Path

    @classmethod
    def from_environment(cls) -> PlanOnly | None:
        """What EDGE_GPU_PLAN_ONLY names; None when it is not set: the usual synthesis."""
        folder = os.environ.get(VARIABLE)
        return cls(Path(folder)) if folder else None

    @property
    def identity(self) -> ClusterIdentity:
        """The throw-away identity. `edge-gpu diff` makes it; no node has ever seen it."""
        return _ThrowAwayIdentity(self.folder / "identity")

    def state(self, stack: str) -> Path:
        """Where the copy of a stack's state lies."""
        return self.folder / "state" / f"{stack}.tfstate"

    def backend(self, stack: str) -> Path:
        """A Terraform folder with the stack's own backend and nothing else, to read its state from."""
        return self.folder / "backend" / stack

    def disarm(self, output: Path) -> None:
        """Make every synthesized stack harmless, as the head of this file says.

        Args:
            output: The app's output folder, after `synth()`.

        Raises:
            PlanOnlyError: A stack was synthesized to HCL, or uses a module.
        """
        for stack in sorted((output / "stacks").iterdir()):
            path = stack / "cdk.tf.json"
            if not path.is_file() or (stack / "cdk.tf").exists():
                raise PlanOnlyError(f"stack {stack.name} is no JSON; with {VARIABLE} set, synthesize without --hcl")
            configuration = json.loads(path.read_text())
            settings = configuration.get("terraform", {})
            own = self.backend(stack.name)
            own.mkdir(parents=True, exist_ok=True)
            (own / "backend.tf.json").write_text(json.dumps({"terraform": settings}, indent=2))
            disarm(configuration, stack=stack.name, state=self.state(stack.name))
            path.write_text(json.dumps(configuration, indent=2))


def disarm(configuration: dict[str, Any], *, stack: str, state: Path) -> None:
    """Make one stack's configuration harmless, in place.

    Args:
        configuration: The synthesized JSON.
        stack: Its name, for the message.
        state: Absolute path of the state's copy.

    Raises:
        PlanOnlyError: It uses a module: what a module's resources run cannot be seen here.
    """
    if configuration.get("module"):
        raise PlanOnlyError(
            f"stack {stack} uses the module {next(iter(configuration['module']))}, whose provisioners cannot be taken "
            "out; plan it where the fleet's secrets are"
        )
    for kind in ("resource", "data"):
        for blocks in configuration.get(kind, {}).values():
            for block in blocks.values():
                block.pop("provisioner", None)
                block.pop("connection", None)
                block["depends_on"] = [*block.get("depends_on", []), GUARD]
    for removed in configuration.get("removed", []):
        removed.pop("provisioner", None)
        removed.pop("connection", None)
    guard = {
        "triggers_replace": {"refusal": REFUSAL},
        "provisioner": [{"local-exec": {"command": f"echo 'ERROR {REFUSAL}' >&2; exit 1"}}],
    }
    configuration.setdefault("resource", {}).setdefault("terraform_data", {})[GUARD_NAME] = guard
    configuration.setdefault("terraform", {})["backend"] = {"local": {"path": str(state)}}
