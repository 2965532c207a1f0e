"""Runs independent work at the same time; when one part fails, the commands of the others are ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from lab.artifacts.command import end_running_commands

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")


def run_together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run all calls, each in a thread of its own; their results in the same order.

    The first error passes on after the other calls ended; the build commands that they run are ended for that.
    """
    with ThreadPoolExecutor(max_workers=max(1, len(calls))) as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            end_running_commands()
            raise
        error = next((error for future in done if (error := future.exception()) is not None), None)
        if error is not None:
            end_running_commands()
            raise error
    return [future.result() for future in futures]


def run_both(first: Callable[[], A], second: Callable[[], B]) -> tuple[A, B]:
    """As run_together(), for two calls whose results are of different types."""
    firsts: list[A] = []
    seconds: list[B] = []
    run_together([lambda: firsts.append(first()), lambda: seconds.append(second())])
    return firsts[0], seconds[0]
