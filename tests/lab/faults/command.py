"""A command that a user types, while it runs: a test reads its output as it comes, and can act in the middle."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from scripts.checkout import ROOT
from tests.lab.faults.fault_lab import FLEET_FILE, environment

LIMIT_SECONDS = 900.0
_SCRIPT_PREFIX = re.compile(r"^\S+/run: \| |^\s*its script: ")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A finished command.

    Attributes:
        code: its exit code.
        lines: stdout and stderr together.
        seconds_at: for each line, how many seconds after the start it came.
        seconds: how long it ran.
    """

    code: int
    lines: tuple[str, ...]
    seconds_at: tuple[float, ...]
    seconds: float

    @property
    def output(self) -> str:
        """All that it printed."""
        return "\n".join(self.lines)

    @property
    def told(self) -> str:
        """The same in one line, without what is put before a script's lines: Terraform breaks its own."""
        return " ".join(" ".join(_SCRIPT_PREFIX.sub("", line) for line in self.lines).split())

    def seconds_until(self, pattern: str) -> float:
        """When the last line that matches came."""
        found = [at for line, at in zip(self.lines, self.seconds_at, strict=True) if re.search(pattern, line)]
        assert found, f"no line matches {pattern!r} in:\n{self.output}"
        return found[-1]


class Command:
    """A started command, in a process group of its own."""

    def __init__(self, argv: list[str], *, fleet: Path = FLEET_FILE) -> None:
        self._started = time.monotonic()
        self._lines: list[str] = []
        self._seconds_at: list[float] = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            argv,
            cwd=ROOT,
            env=environment(fleet),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self._lines.append(line.rstrip("\n"))
                self._seconds_at.append(time.monotonic() - self._started)
                self._news.notify_all()

    def wait_for_line(self, pattern: str, *, seconds: float = 300.0) -> None:
        """Wait until a line matches."""
        deadline = time.monotonic() + seconds
        with self._news:
            while not any(re.search(pattern, line) for line in self._lines):
                left = deadline - time.monotonic()
                assert left > 0, f"no line matched {pattern!r} within {seconds:.0f} s:\n" + "\n".join(self._lines)
                assert self._reader.is_alive(), f"it ended without {pattern!r}:\n" + "\n".join(self._lines)
                self._news.wait(min(left, 1.0))

    def end(self, *, seconds: float = LIMIT_SECONDS) -> Ended:
        """Wait for its end."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGINT)
            self.process.wait(90)
            raise AssertionError(f"not done within {seconds:.0f} s:\n" + "\n".join(self._lines)) from None
        took = time.monotonic() - self._started
        self._reader.join(30)
        with self._news:
            return Ended(code=code, lines=tuple(self._lines), seconds_at=tuple(self._seconds_at), seconds=took)


def edge_gpu(command: str, *, fleet: Path = FLEET_FILE) -> Command:
    """Start `make deploy|diff|destroy`'s own command."""
    return Command([sys.executable, "-m", "scripts.edge_gpu", command], fleet=fleet)


def deploy(*, fleet: Path = FLEET_FILE) -> Ended:
    """A whole deploy, that may fail."""
    return edge_gpu("deploy", fleet=fleet).end()


def deploy_well(*, fleet: Path = FLEET_FILE) -> Ended:
    """A whole deploy, that must end well."""
    ended = deploy(fleet=fleet)
    assert ended.code == 0, ended.output
    return ended
