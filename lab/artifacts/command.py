"""Runs a build command: bounded, its output kept back, and said when it fails."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_LINES_SHOWN = 40

_running: set[subprocess.Popen[str]] = set()


class BuildError(Exception):
    """A part of the lab could not be built; the message says which command, why and what to do."""


def require_tool(name: str, *, package: str) -> None:
    """Refuse early when a build tool is missing.

    Args:
        name: the executable looked for in PATH.
        package: what to install to get it, as the message says it.

    Raises:
        BuildError: when it is not there.
    """
    if shutil.which(name) is None:
        raise BuildError(f"{name} is not in the PATH; install {package} and run again")


def run_command(
    argv: Sequence[str | Path],
    *,
    timeout_seconds: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input_text: str | None = None,
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Run a command to its end and return its standard output.

    Args:
        argv: the command; no shell takes part.
        timeout_seconds: after this long it is ended and the build fails.
        cwd: its working directory (default: this process's).
        env: variables added to or replaced in this process's environment (default: none).
        input_text: its standard input (default: empty).
        on_line: called with each line of its standard error, e.g. to say how far it is (default: nothing).

    Raises:
        BuildError: when it cannot start, fails or does not end in time; with the last lines that it printed.
    """
    shown = shlex.join(str(word) for word in argv)
    try:
        process = subprocess.Popen(
            [str(word) for word in argv],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise BuildError(f"cannot run {shown}: {error}") from error
    _running.add(process)
    stdin, output, stderr = process.stdin, process.stdout, process.stderr
    assert stdin is not None
    assert output is not None
    assert stderr is not None
    last_lines: deque[str] = deque(maxlen=_LINES_SHOWN)

    def follow() -> None:
        for line in stderr:
            last_lines.append(line.rstrip("\n"))
            if on_line is not None:
                on_line(line.rstrip("\n"))

    timed_out = threading.Event()

    def expire() -> None:
        timed_out.set()
        process.kill()

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    timer = threading.Timer(timeout_seconds, expire)
    timer.start()
    try:
        if input_text:
            stdin.write(input_text)
        stdin.close()
        stdout = output.read()
        code = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        _running.discard(process)
        timer.cancel()
        follower.join(timeout=5)
    if timed_out.is_set():
        raise BuildError(f"did not end within {timeout_seconds:.0f} s: {shown}\n" + "\n".join(last_lines))
    if code != 0:
        tail = list(last_lines) or stdout.splitlines()[-_LINES_SHOWN:]
        raise BuildError(f"failed with exit code {code}: {shown}\n" + "\n".join(tail))
    return stdout


def end_running_commands() -> None:
    """End every command that run_command() runs right now in any thread; their callers get a BuildError."""
    for process in list(_running):
        process.terminate()
