"""The Terraform or OpenTofu that the PATH has."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass

from lab.artifacts.command import run_command
from scripts.errors import SetupError

OLDEST = (1, 6)
"""The oldest that the constructs are meant for: cdktf 0.21 was tested with 1.5 and 1.6, OpenTofu begins at 1.6."""


@dataclass(frozen=True)
class Terraform:
    """The binary that runs plans.

    Attributes:
        command: its name or path, as TERRAFORM_BINARY_NAME would have it.
        version: what it reports, e.g. "1.11.4".
    """

    command: str
    version: str


def find_terraform() -> Terraform:
    """Terraform, else OpenTofu, from the PATH; $TERRAFORM_BINARY_NAME, when set, is the only candidate.

    Raises:
        SetupError: there is none, or it is too old.
        BuildError: it does not tell its version.
    """
    wanted = os.environ.get("TERRAFORM_BINARY_NAME")
    candidates = [wanted] if wanted else ["terraform", "tofu"]
    command = next((name for name in candidates if shutil.which(name)), None)
    if command is None:
        named = f" (TERRAFORM_BINARY_NAME={wanted})" if wanted else ""
        raise SetupError(
            f"neither {' nor '.join(candidates)} is in the PATH{named}. Fix: install Terraform "
            f"(developer.hashicorp.com/terraform/install) or OpenTofu (opentofu.org/docs/intro/install), "
            f"{OLDEST[0]}.{OLDEST[1]} or newer, and run again."
        )
    # An absent configuration file would make it warn before the JSON.
    said = run_command([command, "version", "-json"], env={"TF_CLI_CONFIG_FILE": ""}, timeout_seconds=60)
    version = str(json.loads(said)["terraform_version"])
    if tuple(int(part) for part in version.split("-")[0].split(".")[:2]) < OLDEST:
        raise SetupError(
            f"{shutil.which(command)} is version {version}; needed is {OLDEST[0]}.{OLDEST[1]} or newer. "
            "Fix: install a newer one, or name another binary in TERRAFORM_BINARY_NAME."
        )
    return Terraform(command=command, version=version)
