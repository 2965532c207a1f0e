"""The Debian packages that set-up needs: which are missing, and how they come."""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.artifacts.command import run_command
from lab.progress import Progress
from scripts.errors import SetupError

APT_LISTS = Path("/var/lib/apt/lists")
LISTS_MAX_AGE_SECONDS = 7 * 24 * 3600

_APT = ["apt-get", "-q", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=300"]


@dataclass(frozen=True)
class Need:
    """One thing that must be there.

    Attributes:
        package: the Debian package that brings it.
        reason: what needs it, as the message says it.
        is_there: whether it is there already, wherever it came from.
    """

    package: str
    reason: str
    is_there: Callable[[], bool]


def _command(name: str) -> Callable[[], bool]:
    # debootstrap is in a directory that only root has in its PATH.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return lambda: shutil.which(name, path=path) is not None


PROJECT_NEEDS = (
    Need("python3-venv", "the project's own Python environment", lambda: bool(importlib.util.find_spec("ensurepip"))),
    Need("npm", "installing cdktf-cli and Node.js 22", _command("npm")),
)
LAB_NEEDS = (
    Need("apt-utils", "the lab's signed apt repository", _command("apt-ftparchive")),
    Need("debootstrap", "the lab's node image", _command("debootstrap")),
    Need("dpkg-dev", "the lab's signed apt repository", _command("dpkg-scanpackages")),
    Need("gcc", "building the lab's parts", _command("gcc")),
    Need("gnupg", "the lab's signed apt repository", _command("gpg")),
    Need("libc6-dev", "building the lab's parts", Path("/usr/include/stdio.h").is_file),
    Need("openssh-client", "the lab's SSH keys", _command("ssh-keygen")),
    Need("zstd", "packing the lab's K3s", _command("zstd")),
)
CHECK_NEEDS = (
    Need("curl", "the tests of the node scripts", _command("curl")),
    Need("iproute2", "the tests of the container images", _command("ip")),
    Need("shellcheck", "make lint", _command("shellcheck")),
)


def install_missing(needs: Iterable[Need], *, refresh_lists: bool, progress: Progress) -> None:
    """Make sure of the needs; as root on Debian or Ubuntu by installing what is missing.

    Args:
        needs: what must be there.
        refresh_lists: fetch apt's package lists when they are absent or older than seven days even if nothing is
            missing, because the lab takes packages from them.
        progress: says what is installed.

    Raises:
        SetupError: something is missing and we may not install it; the message has the command that does.
        BuildError: apt failed; with its last lines.
    """
    missing = [need for need in needs if not need.is_there()]
    can_install = os.geteuid() == 0 and shutil.which("apt-get") is not None
    if not can_install:
        if missing:
            raise SetupError(_missing_message(missing))
        return
    packages = sorted(need.package for need in missing)
    if packages or (refresh_lists and _lists_are_old()):
        with progress.step("apt-get update"):
            run_command([*_APT, "update"], timeout_seconds=300)
    if packages:
        with progress.step(f"apt-get install {' '.join(packages)}"):
            run_command(
                [*_APT, "install", "-y", "--no-install-recommends", *packages],
                env={"DEBIAN_FRONTEND": "noninteractive"},
                timeout_seconds=1200,
            )


def _missing_message(missing: list[Need]) -> str:
    lines = [f"  {need.package}: for {need.reason}" for need in missing]
    packages = " ".join(sorted(need.package for need in missing))
    fix = (
        f"run `sudo apt-get install {packages}`, or make as root"
        if shutil.which("apt-get")
        else "install them with this system's package manager (the names are Debian's)"
    )
    return "\n".join(["missing on this machine, and only root can install it:", *lines, f"Fix: {fix}."])


def _lists_are_old() -> bool:
    fetched = [path.stat().st_mtime for path in APT_LISTS.glob("*_InRelease")]
    return not fetched or time.time() - max(fetched) > LISTS_MAX_AGE_SECONDS
