"""What nodes need of the kernel they share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.host_limits import inotify_shortage
from lab.settings import load_settings

NODES = load_settings({"LAB_NODES": "server-1=server gpu-1=agent:1"}).nodes

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the check reads root's processes, so it runs as root only")


def kernel(folder: Path, *, limit: int, instances: int) -> Path:
    """A process table with one process of ours that has this many inotify instances, and two other files, open."""
    setting = folder / "sys/fs/inotify/max_user_instances"
    setting.parent.mkdir(parents=True)
    setting.write_text(f"{limit}\n")
    descriptors = folder / "4711" / "fd"
    descriptors.mkdir(parents=True)
    for number, target in enumerate(["anon_inode:inotify"] * instances + ["/dev/null", "socket:[7]"]):
        (descriptors / str(number)).symlink_to(target)
    return folder


def test_too_few_instances_are_said_with_the_command_that_raises_the_limit(tmp_path: Path) -> None:
    said = inotify_shortage(NODES, proc=kernel(tmp_path, limit=128, instances=100))
    assert said is not None
    assert "28 of 128 inotify instances left" in said
    assert "sysctl -w fs.inotify.max_user_instances=1024" in said


def test_enough_instances_pass(tmp_path: Path) -> None:
    assert inotify_shortage(NODES, proc=kernel(tmp_path, limit=128, instances=10)) is None


def test_nodes_that_run_already_need_nothing_more(tmp_path: Path) -> None:
    assert inotify_shortage([], proc=kernel(tmp_path, limit=128, instances=128)) is None


def test_a_kernel_that_does_not_say_is_not_complained_of(tmp_path: Path) -> None:
    assert inotify_shortage(NODES, proc=tmp_path) is None
