"""What nodes need of the kernel they share, told before they start and not only by a containerd that fails."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lab.settings import LabNode

_PROC = Path("/proc")
_LIMIT = Path("sys/fs/inotify/max_user_instances")
# Counted on running nodes (systemd, K3s, containerd, device plugin), and a fifth more.
_INSTANCES = {"server": 40, "agent": 25}


def inotify_shortage(starting: Iterable[LabNode], *, proc: Path = _PROC) -> str | None:
    """What to say when the kernel has too few inotify instances left for K3s on the nodes that will be started.

    All containers of an engine share root's limit, and with none left containerd fails far from the cause. Not checked
    when /proc does not let us see root's processes.

    Args:
        starting: the nodes that do not run yet.
        proc: the kernel's process table (default /proc).

    Returns:
        How many are left, and the command that raises the limit; None when there are enough.
    """
    needed = sum(_INSTANCES[node.role] for node in starting)
    if not needed or os.geteuid() != 0:
        return None
    try:
        limit = int((proc / _LIMIT).read_text())
    except (OSError, ValueError):
        return None
    used = _used_by_root(proc)
    if limit - used >= needed:
        return None
    return (
        f"this machine's kernel has {max(limit - used, 0)} of {limit} inotify instances left"
        f" (fs.inotify.max_user_instances), K3s on the nodes to start needs about {needed}; stop other labs"
        f" (python -m lab down) or raise it: sysctl -w fs.inotify.max_user_instances={max(1024, 2 * (used + needed))}"
    )


def _used_by_root(proc: Path) -> int:
    return sum(_instances(process) for process in proc.iterdir() if process.name.isdecimal())


def _instances(process: Path) -> int:
    """How many a process of root has open; 0 for one that just ended."""
    try:
        descriptors = list((process / "fd").iterdir()) if process.stat().st_uid == 0 else []
    except OSError:
        return 0
    return sum(_is_inotify(descriptor) for descriptor in descriptors)


def _is_inotify(descriptor: Path) -> bool:
    try:
        return str(descriptor.readlink()) == "anon_inode:inotify"
    except OSError:
        return False
