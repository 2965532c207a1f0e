"""Resolves the dependencies anew, into lock files that name no registry: `python3 -m scripts.lock`.

Whoever installs from them uses what pip's and npm's own configuration name, which may be a mirror.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from lab.artifacts.command import BuildError, run_command
from lab.cache import CacheError
from lab.progress import Progress
from scripts.checkout import ROOT
from scripts.python_packages import PIPENV_REQUIREMENTS, install_pipenv, pipenv_environment

# Named here, too: scripts.checkov imports packages that this program's Python need not have.
CHECKOV_REQUIREMENTS = ROOT / "scripts" / "checkov-requirements.txt"

_LOCK_LIMIT_SECONDS = 1200


def main() -> int:
    """Write the lock files. Exit code 0, or 1 after a message."""
    progress = Progress()
    try:
        pipenv = install_pipenv(progress=progress)
        with progress.step("Pipfile.lock"):
            _pipenv(pipenv, "lock", project=ROOT)
            strip_sources(ROOT / "Pipfile.lock")
        for tool, requirements in (("pipenv", PIPENV_REQUIREMENTS), ("checkov", CHECKOV_REQUIREMENTS)):
            with progress.step(f"scripts/{requirements.name}"):
                requirements.write_text(_requirements(tool, requirements, pipenv=pipenv))
        with progress.step("package-lock.json"):
            run_command(["npm", "install", "--package-lock-only"], cwd=ROOT, timeout_seconds=_LOCK_LIMIT_SECONDS)
    except (BuildError, CacheError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def strip_sources(lock_file: Path) -> None:
    """Take the registry out of a Pipfile.lock: pipenv then installs from its default, or from pip's configuration."""
    locked: dict[str, Any] = json.loads(lock_file.read_text())
    locked["_meta"]["sources"] = []
    for section in ("default", "develop"):
        for package in locked[section].values():
            package.pop("index", None)
    lock_file.write_text(json.dumps(locked, indent=4) + "\n")


def _pipenv(venv: Path, *arguments: str, project: Path) -> str:
    return run_command(
        [venv / "bin" / "python", "-m", "pipenv", *arguments],
        cwd=project,
        env={**pipenv_environment(), "PIPENV_PIPFILE": str(project / "Pipfile")},
        timeout_seconds=_LOCK_LIMIT_SECONDS,
    )


def _requirements(tool: str, path: Path, *, pipenv: Path) -> str:
    """A tool and what it needs, with hashes; the pinned version of the tool itself stays as it is in the file."""
    pinned = re.search(rf"^{tool}==([^\s;]+)", path.read_text(), re.MULTILINE)
    if pinned is None:
        raise BuildError(f"{path} pins no {tool}; expected is a line `{tool}==VERSION`")
    with tempfile.TemporaryDirectory() as directory:
        project = Path(directory)
        (project / "Pipfile").write_text(f'[packages]\n{tool} = "=={pinned[1]}"\n')
        _pipenv(pipenv, "lock", project=project)
        listed = _pipenv(pipenv, "requirements", "--hash", "--exclude-index", project=project)
    header = path.read_text().splitlines()[0]
    return "\n".join([header, *(line for line in listed.splitlines() if "==" in line)]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
