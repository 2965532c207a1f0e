"""Says on a terminal or in a log what runs and for how long, also when several steps run at once."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

HEARTBEAT_SECONDS = 15.0
_LIVE_REFRESH_SECONDS = 1.0
_CLEAR_LINE = "\r\x1b[K"


class Step:
    """One running step; Progress.step() makes it."""

    def __init__(self, *, title: str, started: float) -> None:
        self.title = title
        self.started = started
        self.next_heartbeat = started
        self._detail = ""

    def detail(self, text: str) -> None:
        """What the step is at right now, e.g. "1200 packages compiled"; shown with the next heartbeat."""
        self._detail = text

    def line(self, *, now: float) -> str:
        """The step's title, its age in seconds, and its detail when there is one."""
        suffix = f", {self._detail}" if self._detail else ""
        return f"{self.title}: {now - self.started:.0f} s{suffix}"


class Progress:
    """Prints one line when a step ends; while it runs, a live line on a TTY, else a line now and then.

    Args:
        stream: where to print (default: standard error, so that standard output stays a command's result).
        live: rewrite one status line in place (default: when the stream is a terminal).
        heartbeat_seconds: without `live`, how often a running step is said again (default 15 s).
    """

    def __init__(
        self, *, stream: TextIO | None = None, live: bool | None = None, heartbeat_seconds: float = HEARTBEAT_SECONDS
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._live = self._stream.isatty() if live is None else live
        self._heartbeat_seconds = heartbeat_seconds
        self._running: list[Step] = []
        self._changed = threading.Condition()
        self._ticker: threading.Thread | None = None

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Run the block as one named step. Errors pass through, after a line that says which step failed."""
        step = Step(title=title, started=time.monotonic())
        step.next_heartbeat += self._heartbeat_seconds
        with self._changed:
            self._running.append(step)
            if not self._live:
                self._print(f"...   {title}")
            if self._ticker is None:
                self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
                self._ticker.start()
            self._changed.notify()
        outcome = "FAIL "
        try:
            yield step
            outcome = "ok   "
        finally:
            with self._changed:
                self._running.remove(step)
                self._print(f"{outcome} {step.line(now=time.monotonic())}")
                self._changed.notify()

    def note(self, text: str) -> None:
        """Print one line that is no step of its own."""
        with self._changed:
            self._print(text)

    def _tick(self) -> None:
        with self._changed:
            while self._running:
                now = time.monotonic()
                if self._live:
                    self._print_status(now)
                    self._changed.wait(_LIVE_REFRESH_SECONDS)
                    continue
                for step in self._running:
                    if now >= step.next_heartbeat:
                        step.next_heartbeat = now + self._heartbeat_seconds
                        self._print(f"...   {step.line(now=now)}")
                self._changed.wait(max(0.01, min(step.next_heartbeat for step in self._running) - now))
            self._ticker = None

    def _print(self, text: str) -> None:
        print(f"{_CLEAR_LINE if self._live else ''}{text}", file=self._stream, flush=True)

    def _print_status(self, now: float) -> None:
        width = shutil.get_terminal_size().columns - 1
        status = "...   " + " | ".join(step.line(now=now) for step in self._running)
        print(f"{_CLEAR_LINE}{status[:width]}", end="", file=self._stream, flush=True)
