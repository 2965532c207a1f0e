"""The build cache: keyed by content, whole or absent, made by one process at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from lab.cache import CACHE_VARIABLE, CacheError, NotCachedError, build_once, cache_root, cached_only, content_key

KEY = "0123456789abcdef"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(directory: Path) -> None:
    (directory / "file").write_text("built")


def test_a_build_runs_once_and_its_result_is_found_again() -> None:
    builds: list[Path] = []

    def build(directory: Path) -> None:
        builds.append(directory)
        write(directory)

    first = build_once(name="thing", key=KEY, build=build)
    second = build_once(name="thing", key=KEY, build=build)
    assert first == second
    assert (first / "file").read_text() == "built"
    assert len(builds) == 1


def test_a_build_that_raises_leaves_nothing_and_can_be_tried_again(cache: Path) -> None:
    def fail(directory: Path) -> None:
        write(directory)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        build_once(name="thing", key=KEY, build=fail)
    assert [path.name for path in (cache / "thing").iterdir()] == [f".lock-{KEY}"]
    assert (build_once(name="thing", key=KEY, build=write) / "file").exists()


def build_and_hang(started: Path) -> None:
    def build(directory: Path) -> None:
        write(directory)
        started.touch()
        time.sleep(60)

    build_once(name="thing", key=KEY, build=build)


def start(started: Path) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=build_and_hang, args=(started,))
    process.start()
    deadline = time.monotonic() + 20
    while not started.exists():
        assert time.monotonic() < deadline, "the building process did not start"
        time.sleep(0.02)
    return process


def test_what_a_killed_build_left_is_removed_and_never_used(tmp_path: Path, cache: Path) -> None:
    process = start(tmp_path / "started")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    assert list((cache / "thing").glob(".building-*")), "the killed build should have left its directory"
    other_key = KEY[::-1]
    built = build_once(name="thing", key=other_key, build=write)
    assert built.name == other_key
    assert not list((cache / "thing").glob(".building-*"))
    assert not (cache / "thing" / KEY).exists()


def test_a_second_process_waits_for_the_first_and_says_for_whom_when_time_is_up(tmp_path: Path) -> None:
    process = start(tmp_path / "started")
    try:
        with pytest.raises(CacheError, match=f"process {process.pid} has been building"):
            build_once(name="thing", key=KEY, build=write, lock_timeout_seconds=0.3)
    finally:
        process.kill()
        process.join(10)


def test_two_threads_that_want_the_same_get_one_build() -> None:
    builds: list[int] = []

    def build(directory: Path) -> None:
        builds.append(1)
        time.sleep(0.2)
        write(directory)

    threads = [threading.Thread(target=lambda: build_once(name="thing", key=KEY, build=build)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert builds == [1]


def test_with_the_cache_only_nothing_is_built() -> None:
    with cached_only(), pytest.raises(NotCachedError, match="not built yet"):
        build_once(name="thing", key=KEY, build=write)
    finished = build_once(name="thing", key=KEY, build=write)
    with cached_only():
        assert build_once(name="thing", key=KEY, build=write) == finished


@pytest.mark.parametrize(("name", "key"), [("../up", KEY), ("Thing", KEY), ("thing", "../" + KEY), ("thing", "")])
def test_names_that_could_leave_the_cache_are_refused(name: str, key: str) -> None:
    with pytest.raises(CacheError, match="must match"):
        build_once(name=name, key=key, build=write)


def test_a_relative_cache_directory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, "some/where")
    with pytest.raises(CacheError, match="relative path; set an absolute one"):
        cache_root()


def tree(root: Path) -> Path:
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "script").write_text("echo")
    (root / "link").symlink_to("folder/script")
    return root


def test_the_same_content_has_the_same_key_wherever_it_lies(tmp_path: Path) -> None:
    one, other = tree(tmp_path / "one"), tree(tmp_path / "other")
    (other / "folder" / "__pycache__").mkdir()
    os.utime(other / "folder" / "script", (0, 0))
    assert content_key(one) == content_key(other)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "folder" / "script").write_text("echo 2"),
        lambda root: (root / "folder" / "script").chmod(0o755),
        lambda root: (root / "folder" / "script").rename(root / "folder" / "script2"),
        lambda root: (root / "folder" / "empty").mkdir(),
        lambda root: ((root / "link").unlink(), (root / "link").symlink_to("folder")),
    ],
    ids=["content", "execute bit", "name", "a new folder", "a link's target"],
)
def test_a_change_in_a_tree_changes_its_key(tmp_path: Path, change: object) -> None:
    root = tree(tmp_path / "tree")
    before = content_key(root)
    assert callable(change)
    change(root)
    assert content_key(root) != before


def test_parts_of_a_key_cannot_run_into_each_other() -> None:
    keys = {
        content_key("ab", "c"),
        content_key("a", "bc"),
        content_key("abc"),
        content_key(b"abc"),
        content_key("c", "ab"),
    }
    assert len(keys) == 5


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"missing: .*nowhere"):
        content_key(tmp_path / "nowhere")
