"""The environment of the project's commands: what `.env` holds for pipenv, and what `make` gives its own commands."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from constructs_lib.lazy_import import NODE_HOOK
from scripts.checkout import (
    ENV_FILE,
    LAB_TERRAFORM_CONFIG,
    NODE_BIN,
    NODE_MODULES,
    VENV,
    is_lab_fleet,
    shown,
)

PARALLELISM = 64
"""How many steps Terraform has under way at once, in place of 10.

A step waits for its node and costs this machine next to nothing; but one node that does not answer holds its place
until the SSH time limit, and ten such nodes would hold up all others.
"""

LAB_TERRAFORM_VARIABLES = {
    "TF_CLI_CONFIG_FILE": str(LAB_TERRAFORM_CONFIG),
    # A rebuilt stand-in plugin keeps its version; a cache by version would go on serving the old one.
    "CDKTF_DISABLE_PLUGIN_CACHE_ENV": "1",
}
"""With which Terraform finds the lab's plugins: for a fleet on lab nodes."""


def project_variables(*, fleet: Path) -> dict[str, str]:
    """The variables that a command of this project needs for one fleet, PATH excepted.

    Args:
        fleet: absolute path of the fleet file.
    """
    variables = {
        "FLEET": shown(fleet),
        # `cdktf deploy` would ask the registry for other platforms' hashes, which no mirror answers.
        "CDKTF_SKIP_PROVIDER_LOCK": "true",
        "CHECKPOINT_DISABLE": "1",
        # Each fleet has its own backend, which Terraform remembers here: in a shared folder the second fleet
        # would stop at "Backend configuration changed". Relative, so that each stack has its own in its folder.
        "TF_DATA_DIR": f".terraform-{fleet.stem}",
        "DISABLE_VERSION_CHECK": "1",
        "TF_CLI_ARGS_apply": f"-parallelism={PARALLELISM}",
        # A refresh asks the cluster first: with its API down nothing at all would be destroyed.
        "TF_CLI_ARGS_destroy": f"-refresh=false -parallelism={PARALLELISM}",
    }
    if is_lab_fleet(fleet):
        variables |= LAB_TERRAFORM_VARIABLES
    if os.environ.get("TERRAFORM_BINARY_NAME") is None and not shutil.which("terraform") and shutil.which("tofu"):
        variables["TERRAFORM_BINARY_NAME"] = "tofu"
    return variables


def command_environment(*, fleet: Path, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """A whole environment for a child process: the project's Python, Node.js and cdktf come first in PATH.

    Args:
        fleet: absolute path of the fleet file.
        base: what it is built on (default: this process's environment).
    """
    base = os.environ if base is None else base
    path = [str(VENV / "bin"), str(NODE_BIN), str(NODE_MODULES / ".bin"), base.get("PATH", os.defpath)]
    return {
        **base,
        **{name: _with_own(value, base.get(name, "")) for name, value in project_variables(fleet=fleet).items()},
        "VIRTUAL_ENV": str(VENV),
        "PATH": os.pathsep.join(path),
        "NODE_OPTIONS": with_node_hook(base.get("NODE_OPTIONS", "")),
        "PYTHONUNBUFFERED": "1",
    }


def _with_own(value: str, own: str) -> str:
    """A variable's value; of arguments for Terraform also those that the user gives, last, so that they win."""
    if not value.startswith("-"):
        return value
    return own if value in own else f"{value} {own}".strip()


def with_node_hook(options: str) -> str:
    """NODE_OPTIONS that load the provider bindings' JavaScript when it is used: half of a synth's time and memory."""
    # cdktf sets this limit by itself, but not where NODE_OPTIONS is set already; there it warns.
    limit = "" if "--max-old-space-size" in options else " --max-old-space-size=4096"
    # MiB for new objects, of which a large fleet's synthesis makes many: a tenth less of Node.js's time.
    limit += "" if "--max-semi-space-size" in options else " --max-semi-space-size=64"
    hook = f'"--require={NODE_HOOK}"'
    return options if hook in options else f"{options}{limit} {hook}".strip()


def write_env_file(*, fleet: Path) -> None:
    """Write `.env`, with which `pipenv run` finds Node.js and cdktf and knows the fleet.

    pipenv lets `.env` win over the shell, so FLEET is written as a default: one that is typed still counts.
    """
    variables = project_variables(fleet=fleet)
    lines = [
        f"# Written by make for {shown(fleet)}; pipenv reads it. `FLEET=... make setup` writes it for another fleet.",
        _line("FLEET", "${FLEET:-" + variables.pop("FLEET") + "}"),
        _line("PATH", os.pathsep.join([str(NODE_BIN), str(NODE_MODULES / ".bin"), "${PATH}"])),
        _line("NODE_OPTIONS", with_node_hook("")),
        # A typed TF_CLI_ARGS_apply takes the place of the project's, as with Terraform itself.
        *(
            _line(name, f"${{{name}:-{value}}}" if value.startswith("-") else value)
            for name, value in sorted(variables.items())
        ),
    ]
    unfinished = ENV_FILE.with_name(".env.unfinished")
    unfinished.write_text("\n".join(lines) + "\n")
    unfinished.replace(ENV_FILE)


def _line(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'
