"""Reads a saved plan: as JSON, and as the text that Terraform shows."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.checkout import shown
from scripts.errors import CommandError
from scripts.plan_errors import failure
from scripts.plan_values import scrubbed, without_secrets
from stacks.plan_only import GUARD_NAME

FORMAT_MAJOR = "1"
"""Of the plan's JSON; Terraform promises that minor versions only add."""

_LIMIT_SECONDS = 120


@dataclass(frozen=True)
class SavedPlan:
    """A plan.

    Attributes:
        data: what `terraform show -json` prints, less sensitive values, which are there in clear.
        text: what `terraform show` prints, less all of them; None when only the JSON is there.
    """

    data: Mapping[str, Any]
    text: str | None


def read_plan(path: Path, *, env: Mapping[str, str]) -> SavedPlan:
    """Read a plan that Terraform saved, or the JSON of one.

    Args:
        path: the file. One that Terraform saved must lie in the folder where it was made, initialised as it was.
        env: environment for Terraform.

    Raises:
        CommandError: there is no such file, it is no plan, or one of another version.
    """
    try:
        begins = path.open("rb").read(1)
    except OSError as error:
        raise CommandError(
            f"there is no plan at {shown(path)}: {error.strerror}. Fix: edge-gpu diff makes one and shows it"
        ) from error
    if begins == b"{":
        return SavedPlan(data=without_secrets(_checked(path.read_text(), path=path))[0], text=None)
    shown_json = run_terraform(["show", "-json", path.name], cwd=path.parent, env=env)
    data, secrets = without_secrets(_checked(shown_json, path=path))
    text = run_terraform(["show", "-no-color", path.name], cwd=path.parent, env=env)
    return SavedPlan(data=data, text=_without_guard(scrubbed(text, secrets)))


def run_terraform(arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], limit: float = _LIMIT_SECONDS) -> str:
    """What a Terraform command prints on standard output.

    Args:
        arguments: without the program.
        cwd: its working directory.
        env: its whole environment.
        limit: seconds it may take.

    Raises:
        CommandError: it cannot be started, failed, or took too long.
    """
    argv = [env.get("TERRAFORM_BINARY_NAME", "terraform"), *arguments]
    title = f"`{' '.join(argv)}`"
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"{title} did not end: {error}") from error
    if done.returncode != 0:
        raise CommandError(failure(title, (done.stdout + done.stderr).splitlines()))
    return done.stdout


def _checked(text: str, *, path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(text)
        version = str(data["format_version"])
        data["terraform_version"]
    except (ValueError, TypeError, KeyError) as error:
        raise CommandError(
            f"{shown(path)} is no plan ({type(error).__name__}: {error}). "
            "Fix: name a plan that terraform saved, or what `terraform show -json PLAN` printed"
        ) from error
    if version.split(".")[0] != FORMAT_MAJOR:
        raise CommandError(
            f"{shown(path)} has format_version {version}; read is {FORMAT_MAJOR}.x. "
            "Fix: make the plan with Terraform 1.x or OpenTofu 1.x"
        )
    if data.get("errored"):
        raise CommandError(f"{shown(path)} is a plan that failed half way. Fix: edge-gpu diff, and see its error")
    result: Mapping[str, Any] = data
    return result


def _without_guard(text: str) -> str:
    """The text without the guard of a plan without secrets, which no deploy makes, and without it in the sum."""
    block = re.compile(
        rf"^  # terraform_data\.{GUARD_NAME} will be created\n.*?^    \}}\n\n?", re.MULTILINE | re.DOTALL
    )
    shorter, found = block.subn("", text)
    if not found:
        return text
    return re.sub(
        r"^Plan: (?:(\d+) to import, )?(\d+) to add",
        lambda match: match[0].replace(f"{match[2]} to add", f"{int(match[2]) - 1} to add"),
        shorter,
        flags=re.MULTILINE,
    )
