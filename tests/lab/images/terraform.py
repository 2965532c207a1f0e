"""Applies a synthesized stack by Terraform with the lab's stand-in of the docker plugin, whose engine is real."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from constructs_lib.cdk import TerraformStack
from constructs_lib.testing import synth
from lab.artifacts.terraform_plugins import build_terraform_plugins, write_terraform_rc
from lab.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A finished command."""

    code: int
    output: str


class Project:
    """A folder in which one stack after another is applied to the same state.

    Args:
        folder: an empty folder.
        docker_host: the engine, as DOCKER_HOST has it.
    """

    def __init__(self, folder: Path, *, docker_host: str) -> None:
        self._folder = folder
        settings = folder / "terraform.rc"
        write_terraform_rc(mirror=build_terraform_plugins(progress=Progress())[0].path, destination=settings)
        self._environment = {
            **os.environ,
            "TF_CLI_CONFIG_FILE": str(settings),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "TF_DATA_DIR": str(folder / ".terraform"),
            "DOCKER_HOST": docker_host,
            "DOCKER_CONFIG": str(folder / "docker"),
        }
        self._ready = False

    def apply(self, stack: TerraformStack) -> Applied:
        """Bring everything to the state that the stack describes."""
        return self._run(stack, "apply", "-auto-approve")

    def plan(self, stack: TerraformStack) -> Applied:
        """Exit code 0: nothing would change; 2: something would."""
        return self._run(stack, "plan", "-detailed-exitcode")

    def destroy(self, stack: TerraformStack) -> Applied:
        """Take everything away."""
        return self._run(stack, "destroy", "-auto-approve")

    def output(self, name: str) -> Any:
        """The value of an output after the last apply."""
        return json.loads(self._terraform("output", "-json", name).output)

    def _run(self, stack: TerraformStack, *words: str) -> Applied:
        (self._folder / "cdk.tf.json").write_text(json.dumps(synth(stack)))
        if not self._ready:
            prepared = self._terraform("init", "-input=false")
            assert prepared.code == 0, prepared.output
            self._ready = True
        return self._terraform(words[0], "-input=false", *words[1:])

    def _terraform(self, *words: str) -> Applied:
        done = subprocess.run(
            ["terraform", words[0], *(["-no-color"] if words[0] != "output" else []), *words[1:]],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if words[0] != "output" else None,
            text=True,
            timeout=600,
            check=False,
        )
        return Applied(code=done.returncode, output=done.stdout)
