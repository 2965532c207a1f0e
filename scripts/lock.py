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
WALDUR_REQUIREMENTS = ROOT / "waldur_site_agent_k3s" / "requirements.txt"

_VENVS = {
    PIPENV_REQUIREMENTS: ("pipenv",),
    CHECKOV_REQUIREMENTS: ("checkov",),
    WALDUR_REQUIREMENTS: ("waldur-site-agent", "kubernetes", "pytest"),
}
"""What has a venv of its own: its lock file -> the packages whose versions are chosen by hand."""

_LOCK_LIMIT_SECONDS = 1200


def main() -> int:
    """Write the lock files. Exit code 0, or 1 after a message."""
    progress = Progress()
    try:
        pipenv = install_pipenv(progress=progress)
        with progress.step("Pipfile.lock"):
            _pipenv(pipenv, "lock", project=ROOT)
            strip_sources(ROOT / "Pipfile.lock")
        for requirements, chosen in _VENVS.items():
            with progress.step(str(requirements.relative_to(ROOT))):
                requirements.write_text(_requirements(chosen, requirements, pipenv=pipenv))
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


def _requirements(chosen: tuple[str, ...], path: Path, *, pipenv: Path) -> str:
    """Packages and what they need, with hashes; the pinned versions of the chosen ones stay as they are in the file."""
    pins = []
    for package in chosen:
        pinned = re.search(rf"^{package}==([^\s;]+)", path.read_text(), re.MULTILINE)
        if pinned is None:
            raise BuildError(f"{path} pins no {package}; expected is a line `{package}==VERSION`")
        pins.append(f'{package} = "=={pinned[1]}"\n')
    with tempfile.TemporaryDirectory() as directory:
        project = Path(directory)
        (project / "Pipfile").write_text("".join(["[packages]\n", *pins]))
        _pipenv(pipenv, "lock", project=project)
        listed = _pipenv(pipenv, "requirements", "--hash", "--exclude-index", project=project)
    header = path.read_text().splitlines()[0]
    return "\n".join([header, *(line for line in listed.splitlines() if "==" in line)]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
