"""Progress: every step says how it ended and how long it took, and a long one says that it still runs."""

from __future__ import annotations

import io
import re
import threading
import time

import pytest

from lab.progress import Progress


def test_a_finished_step_is_one_line_with_its_seconds() -> None:
    stream = io.StringIO()
    with Progress(stream=stream, live=False).step("k3s: compile"):
        pass
    assert stream.getvalue().splitlines() == ["...   k3s: compile", "ok    k3s: compile: 0 s"]


def test_a_failed_step_says_so_and_its_error_passes_on() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="broken"), Progress(stream=stream, live=False).step("k3s: compile"):
        raise ValueError("broken")
    assert stream.getvalue().splitlines()[-1] == "FAIL  k3s: compile: 0 s"


def test_a_long_step_is_said_again_with_its_detail() -> None:
    stream = io.StringIO()
    with Progress(stream=stream, live=False, heartbeat_seconds=0.05).step("k3s: compile") as step:
        step.detail("7 packages compiled")
        time.sleep(0.3)
    heartbeats = re.findall(r"^\.\.\.   k3s: compile: 0 s, 7 packages compiled$", stream.getvalue(), re.MULTILINE)
    assert 2 <= len(heartbeats) <= 6


def test_steps_may_run_at_once_and_each_is_told() -> None:
    stream = io.StringIO()
    progress = Progress(stream=stream, live=False)

    def run(title: str) -> None:
        with progress.step(title):
            time.sleep(0.05)

    threads = [threading.Thread(target=run, args=(f"step {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert sorted(re.findall(r"^ok    (step \d): 0 s$", stream.getvalue(), re.MULTILINE)) == [
        "step 0",
        "step 1",
        "step 2",
        "step 3",
    ]


def test_on_a_terminal_the_running_steps_share_one_line_that_is_rewritten() -> None:
    stream = io.StringIO()
    progress = Progress(stream=stream, live=True)
    with progress.step("one"), progress.step("two"):
        deadline = time.monotonic() + 5
        while "one: 0 s | two: 0 s" not in stream.getvalue():
            assert time.monotonic() < deadline, stream.getvalue()
            time.sleep(0.02)
    assert "\r\x1b[K...   one: 0 s | two: 0 s" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[Kok    one: 0 s\n")
