"""Runs one long command: its output shown as it comes, kept in a log file, and bounded in time."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

SILENCE_SECONDS = 20.0
GRACE_SECONDS = 60.0


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        exit_code: 0 when it did what it should.
        seconds: how long it ran.
        lines: all that it printed.
        seconds_at: for each line, how many seconds after the start it came.
        log: the file that holds the same.
    """

    exit_code: int
    seconds: float
    lines: tuple[str, ...]
    seconds_at: tuple[float, ...]
    log: Path


def run_shown(
    argv: Sequence[str],
    *,
    title: str,
    log: Path,
    env: Mapping[str, str],
    cwd: Path,
    timeout_seconds: float,
    readable: Callable[[str], str | None] | None = None,
    stream: TextIO | None = None,
) -> Outcome:
    """Run a command to its end, copying its output to `stream` and to `log`.

    Args:
        argv: the command; no shell takes part.
        title: what is said while it prints nothing.
        log: file for its output, replaced.
        env: its whole environment.
        cwd: its working directory.
        timeout_seconds: after this long it is interrupted, and killed 60 s later if it has not ended: Terraform
            uses that time to write its state.
        readable: what is shown of each line, None for nothing; the log has them all (default: all is shown).
        stream: where the output goes (default: standard output).
    """
    stream = sys.stdout if stream is None else stream
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    lines: list[str] = []
    seconds_at: list[float] = []
    # A group of its own: Ctrl-C then reaches the command once, from us, and not once more from the terminal.
    process = subprocess.Popen(
        list(argv),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert process.stdout is not None
    silence = _Silence(title=title, started=started, stream=stream)
    expiry = threading.Timer(timeout_seconds, _end, args=[process, f"{title}: not done within {timeout_seconds:.0f} s"])
    expiry.daemon = True
    expiry.start()
    try:
        with log.open("w") as kept:
            kept.write(f"$ {shlex.join(argv)}\n")
            while True:
                try:
                    for line in process.stdout:
                        text = line.rstrip("\n")
                        lines.append(text)
                        seconds_at.append(time.monotonic() - started)
                        kept.write(f"{text}\n")
                        shown = text if readable is None else readable(text)
                        if shown is not None:
                            silence.heard()
                            print(shown, file=stream, flush=True)
                    break
                except KeyboardInterrupt:
                    # Passed on, and waited for: Terraform ends in order at the first and at once at the second.
                    _signal(process, signal.SIGINT)
        exit_code = process.wait()
    finally:
        expiry.cancel()
        silence.stop()
        if process.poll() is None:
            _signal(process, signal.SIGKILL)
            process.wait()
    return Outcome(
        exit_code=exit_code,
        seconds=time.monotonic() - started,
        lines=tuple(lines),
        seconds_at=tuple(seconds_at),
        log=log,
    )


class _Silence:
    """Says that a command still runs when it has printed nothing for a while."""

    def __init__(self, *, title: str, started: float, stream: TextIO) -> None:
        self._title = title
        self._started = started
        self._stream = stream
        self._last = started
        self._stopped = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def heard(self) -> None:
        self._last = time.monotonic()

    def stop(self) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(1.0):
            now = time.monotonic()
            if now - self._last >= SILENCE_SECONDS:
                self._last = now
                print(f"...   {self._title}: {now - self._started:.0f} s", file=self._stream, flush=True)


def _end(process: subprocess.Popen[str], why: str) -> None:
    print(f"error: {why}; interrupting it", file=sys.stderr, flush=True)
    _signal(process, signal.SIGINT)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
