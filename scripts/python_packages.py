"""pipenv in a venv of its own, and with it the project's `.venv` from Pipfile.lock."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from lab.artifacts.command import run_command
from lab.cache import build_once, cache_root, content_key
from lab.progress import Progress
from scripts.checkout import ROOT, VENV

PIPENV_REQUIREMENTS = ROOT / "scripts" / "pipenv-requirements.txt"

_STAMP = VENV / ".edge-gpu-stamp"
_QUIET_PIP = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def install_pipenv(*, progress: Progress) -> Path:
    """The directory of a venv with the pinned pipenv, made when it is not in the cache; run `bin/python -m pipenv`.

    Raises:
        BuildError: it cannot be installed; with pip's last lines.
    """

    venv = locked_venv("pipenv", requirements=PIPENV_REQUIREMENTS, limit_seconds=600, progress=progress)
    _write_launcher(venv)
    return venv


def locked_venv(name: str, *, requirements: Path, limit_seconds: float, progress: Progress) -> Path:
    """A venv in the cache with one tool and its hash-locked dependencies, made when it is not there.

    Args:
        name: the tool.
        requirements: file with every package's version and hashes.
        limit_seconds: when pip is ended.
        progress: says when it is installed.

    Raises:
        BuildError: it cannot be installed; with pip's last lines.
    """

    def build(directory: Path) -> None:
        with progress.step(f"Install {name}"):
            run_command([sys.executable, "-m", "venv", directory], timeout_seconds=120)
            pip_install = (directory / "bin" / "python", "-m", "pip", "install", "-q", "--require-hashes")
            run_command((*pip_install, "-r", requirements), env=_QUIET_PIP, timeout_seconds=limit_seconds)

    return build_once(name=name, key=content_key(_interpreter(), requirements), build=build)


def sync_venv(*, pipenv: Path, progress: Progress) -> None:
    """Make `.venv` hold exactly what Pipfile.lock says; nothing is done when it does already.

    Raises:
        BuildError: pipenv failed; with its last lines.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = f"{version} {content_key(ROOT / 'Pipfile.lock')}"
    found = _STAMP.read_text() if _STAMP.is_file() and (VENV / "bin" / "python").exists() else ""
    if found == wanted:
        return
    with progress.step("Install Python packages from Pipfile.lock"):
        # What was whole for another lock file is brought up to this one; anything else is made anew.
        if found.startswith(f"{version} "):
            _STAMP.unlink()
        else:
            shutil.rmtree(VENV, ignore_errors=True)
            run_command([sys.executable, "-m", "venv", VENV], timeout_seconds=120)
        for arguments in (["sync", "--dev"], ["clean"]):
            run_command(
                [pipenv / "bin" / "python", "-m", "pipenv", *arguments],
                cwd=ROOT,
                env=pipenv_environment(),
                timeout_seconds=1800,
            )
        _STAMP.write_text(wanted)


def pipenv_environment() -> dict[str, str]:
    """Variables with which pipenv works on this checkout's `.venv`, whatever environment is active around it."""
    return {
        **_QUIET_PIP,
        "PIPENV_IGNORE_VIRTUALENVS": "1",
        "PIPENV_VENV_IN_PROJECT": "1",
        "PIPENV_PIPFILE": str(ROOT / "Pipfile"),
        "PIPENV_DONT_LOAD_ENV": "1",
        "PIPENV_NOSPIN": "1",
    }


def pipenv_hint() -> str | None:
    """How a user's shell finds pipenv, when it does not yet."""
    if shutil.which("pipenv"):
        return None
    return f'`pipenv run npx cdktf ...` needs pipenv in the PATH: export PATH="{cache_root() / "bin"}:$PATH"'


def link_pipenv() -> None:
    """As root, put pipenv into the system's PATH when no pipenv is there, so that it can be typed at once."""
    link = Path("/usr/local/bin/pipenv")
    if os.geteuid() != 0 or shutil.which("pipenv"):
        return
    if link.is_symlink() and not link.exists():
        link.unlink()
    if not link.is_symlink() and link.parent.is_dir():
        link.symlink_to(cache_root() / "bin" / "pipenv")


def _interpreter() -> str:
    return f"{Path(sys.executable).resolve()} {sys.version}"


def _write_launcher(venv: Path) -> None:
    launcher = cache_root() / "bin" / "pipenv"
    text = f"#!/bin/sh\nexec '{venv}/bin/python' -m pipenv \"$@\"\n"
    if launcher.is_file() and launcher.read_text() == text:
        return
    launcher.parent.mkdir(exist_ok=True)
    unfinished = launcher.with_name(f".pipenv-{os.getpid()}")
    unfinished.write_text(text)
    unfinished.chmod(0o755)
    unfinished.replace(launcher)
