"""Build commands: bounded, and their output told when they fail."""

from __future__ import annotations

import threading
import time

import pytest

from lab.artifacts.command import BuildError, end_running_commands, require_tool, run_command


def test_a_commands_standard_output_is_returned() -> None:
    assert run_command(["sh", "-c", "echo said; echo aside >&2"], timeout_seconds=10) == "said\n"


def test_a_failure_tells_the_command_its_exit_code_and_its_last_lines() -> None:
    with pytest.raises(BuildError, match=r"failed with exit code 3: sh -c .*\nno such flag") as caught:
        run_command(["sh", "-c", "echo no such flag >&2; exit 3"], timeout_seconds=10)
    assert "exit 3" in str(caught.value)


def test_what_a_failed_command_said_on_standard_output_counts_when_it_said_nothing_else() -> None:
    with pytest.raises(BuildError, match="only here"):
        run_command(["sh", "-c", "echo only here; exit 1"], timeout_seconds=10)


def test_a_command_that_does_not_end_in_time_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(BuildError, match="did not end within 0 s: sleep 30"):
        run_command(["sleep", "30"], timeout_seconds=0.2)
    assert time.monotonic() - started < 5


def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(BuildError, match="cannot run no-such-program"):
        run_command(["no-such-program"], timeout_seconds=10)


def test_a_missing_tool_is_told_with_what_to_install() -> None:
    with pytest.raises(BuildError, match="no-such-program is not in the PATH; install some-package"):
        require_tool("no-such-program", package="some-package")


def test_a_large_output_on_both_streams_does_not_block() -> None:
    script = "i=0; while [ $i -lt 20000 ]; do echo 0123456789; echo 0123456789 >&2; i=$((i+1)); done"
    lines: list[str] = []
    assert len(run_command(["sh", "-c", script], timeout_seconds=30, on_line=lines.append)) == 220000
    assert len(lines) == 20000


def test_running_commands_end_together_when_a_sibling_failed() -> None:
    errors: list[str] = []

    def run() -> None:
        try:
            run_command(["sleep", "30"], timeout_seconds=60)
        except BuildError as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.3)
    end_running_commands()
    thread.join(5)
    assert not thread.is_alive()
    assert "sleep 30" in errors[0]
