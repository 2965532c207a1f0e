"""Runs the tests on CDK Terrain (cdktn), CDKTF's successor: `python -m scripts.cdktn [PYTEST ARGUMENT ...]`.

The switch is what is installed. `.venv-cdktn` has what Pipfile.lock has, with pyproject.toml's extra `cdktn` in the
place of CDKTF and its bindings.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tomllib
import venv
from collections.abc import Mapping
from pathlib import Path

from lab.artifacts.command import BuildError, run_command
from scripts.checkout import ROOT, chosen_fleet
from scripts.environment import command_environment

_VENV = ROOT / ".venv-cdktn"
_INSTALL_LIMIT_SECONDS = 1200
_TESTS = ("tests/unit", "tests/synth", "tests/reuse")


def main(arguments: list[str]) -> int:
    """Install when something changed, then the tests; pytest's exit code, or 1 after a message."""
    try:
        _install(requirements())
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    environment = command_environment(fleet=chosen_fleet())
    environment["PATH"] = os.pathsep.join([str(_VENV / "bin"), environment["PATH"]])
    environment["VIRTUAL_ENV"] = str(_VENV)
    # Options alone choose no tests: pytest would then run them all, the lab's too.
    tests = () if any(not word.startswith("-") for word in arguments) else _TESTS
    command = [str(_VENV / "bin" / "python"), "-m", "pytest", *tests, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def requirements() -> list[str]:
    """Each package with its exact version: those of Pipfile.lock without CDKTF's, then the extra's own."""
    locked: Mapping[str, Mapping[str, Mapping[str, str]]] = json.loads((ROOT / "Pipfile.lock").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    kept = [
        name + package["version"]
        for section in ("default", "develop")
        for name, package in locked[section].items()
        if not name.startswith("cdktf") and name != "typeguard"  # Each core pins the typeguard it was made for.
    ]
    return sorted({*kept, *project["optional-dependencies"]["cdktn"]})


def _install(wanted: list[str]) -> None:
    done = _VENV / "installed"
    text = hashlib.sha256("\n".join(wanted).encode()).hexdigest()
    if done.exists() and done.read_text() == text:
        return
    if not (_VENV / "bin" / "python").exists():
        venv.create(_VENV, with_pip=True)
    python: Path = _VENV / "bin" / "python"
    run_command([python, "-m", "pip", "install", "--quiet", *wanted], cwd=ROOT, timeout_seconds=_INSTALL_LIMIT_SECONDS)
    done.write_text(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
