"""The root file system of a bare Debian machine, made by debootstrap, as a tar."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from lab.artifacts.command import BuildError, require_tool, run_command
from lab.cache import build_once, cache_root, content_key
from lab.part import Part
from lab.progress import Progress, Step

SUITE = "bookworm"
ROOT_ARCHIVE = "root.tar"

_RECIPE = Path(__file__)
_PACKAGES = (
    # what a machine with sshd has
    "systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "ca-certificates", "curl", "gnupg", "iproute2", "kmod",
    "procps", "less",
    # what Kubernetes expects of its host
    "conntrack", "ethtool", "iptables", "socat",
    # what K3s's image would bring: flannel's plugin is not to be had, Debian's plugins take its place
    "containernetworking-plugins",
)  # fmt: skip
# Kept on the node, where installing the container toolkit gains from it too.
_DPKG_SETTINGS = """\
# A node of the lab lives for a day: nothing is lost when a crash of its host loses a file, nobody reads its manuals.
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/lintian/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
"""
_LEFTOVERS = ("var/cache/apt", "var/lib/apt/lists", "var/log")
_BUILD_TIMEOUT_SECONDS = 1800.0


def build_node_root(*, progress: Progress) -> Part:
    """The root file system; its Part's path is a directory with `root.tar`.

    Args:
        progress: where the step is said: about a minute the first time, nothing when it is built.

    Raises:
        BuildError: this is not root, debootstrap is missing, or it fails; with its last lines.
    """
    path = build_once(
        name="node-root", key=content_key(_RECIPE), build=lambda directory: _build(directory, progress=progress)
    )
    return Part(
        name="node (Debian)",
        version=(path / "version").read_text().strip(),
        source=(path / "source").read_text().strip(),
        kind="real",
        path=path,
    )


def _build(directory: Path, *, progress: Progress) -> None:
    if os.geteuid() != 0:
        raise BuildError("debootstrap needs root to make the nodes' root file system; run the lab as root once")
    require_tool("debootstrap", package="debootstrap")
    downloads = cache_root() / "debootstrap"
    downloads.mkdir(exist_ok=True)
    mirror = _debian_mirror()
    root = directory / "root"
    settings = root / "etc" / "dpkg" / "dpkg.cfg.d" / "edge-gpu-lab"
    settings.parent.mkdir(parents=True)
    settings.write_text(_DPKG_SETTINGS)
    with progress.step(f"node root: debootstrap {SUITE}") as step:
        run_command(
            [
                # Its mounts of /proc and /sys end with it, also when it is killed: nothing then deletes through them.
                "unshare", "--mount", "--", "sh", "-c", 'exec debootstrap "$@" >&2', "debootstrap",
                "--variant=minbase", f"--cache-dir={downloads}", f"--include={','.join(_PACKAGES)}",
                SUITE, root, *([mirror] if mirror else []),
            ],
            timeout_seconds=_BUILD_TIMEOUT_SECONDS,
            env=_proxy(),
            on_line=_follow(step),
        )  # fmt: skip
    with progress.step("node root: pack"):
        for folder in _LEFTOVERS:
            shutil.rmtree(root / folder)
            (root / folder).mkdir()
        packages = run_command(["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W"], timeout_seconds=60)
        run_command(
            ["tar", "--numeric-owner", "--sort=name", "-C", root, "-cf", directory / ROOT_ARCHIVE, "."],
            timeout_seconds=300,
        )
        (directory / "version").write_text((root / "etc" / "debian_version").read_text())
        (directory / "source").write_text(f"debootstrap {SUITE}, {len(packages.splitlines())} Debian packages\n")
        shutil.rmtree(root)


def _follow(step: Step) -> Callable[[str], None]:
    done: dict[str, int] = {}

    def count(line: str) -> None:
        match = re.match(r"I: (Retrieving|Unpacking|Configuring) ", line)
        if match:
            done[match[1]] = done.get(match[1], 0) + 1
            step.detail(f"{match[1].lower()} package {done[match[1]]}")

    return count


def _debian_mirror() -> str | None:
    """The mirror that this machine's own apt uses for the suite; None leaves it to debootstrap's default."""
    if shutil.which("apt-get") is None:
        return None
    wanted = ["Created-By: Packages", "Origin: Debian", f"Codename: {SUITE}", "Component: main"]
    listed = run_command(["apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted], timeout_seconds=60)
    return listed.split()[0] if listed.strip() else None


def _proxy() -> dict[str, str]:
    """The proxy that apt is configured with, in the form that debootstrap's downloader knows."""
    if "http_proxy" in os.environ or shutil.which("apt-config") is None:
        return {}
    configured = run_command(["apt-config", "shell", "proxy", "Acquire::http::Proxy"], timeout_seconds=30)
    match = re.search(r"proxy='([^']*)'", configured)
    return {"http_proxy": match[1]} if match and match[1] not in ("", "DIRECT") else {}
