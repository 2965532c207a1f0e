"""Finding and starting a Docker engine, with programs that play dockerd."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import engine, engine_start
from lab.engine_start import start_engine
from lab.errors import LabError
from lab.progress import Progress


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Callable[[], bool]]]:
    """A machine without systemd whose dockerd is a shell script; makes the question whether it answers."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("EDGE_GPU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(engine_start, "_SYSTEMD", tmp_path / "no-systemd")
    monkeypatch.setattr(engine_start, "_PID_FILE", tmp_path / "docker.pid")
    monkeypatch.setattr(engine_start, "_START_TIMEOUT_SECONDS", 5.0)
    monkeypatch.setattr(engine_start, "_END_TIMEOUT_SECONDS", 2.0)

    def with_dockerd(body: str) -> Callable[[], bool]:
        answering = tmp_path / "answering"
        script = programs / "dockerd"
        script.write_text(f"#!/bin/sh\nanswer() {{ : >{answering}; exec sleep 60; }}\n{body}\n")
        script.chmod(0o755)
        return answering.exists

    yield with_dockerd
    pid_file = tmp_path / "cache" / "engine" / "dockerd.pid"
    if pid_file.exists():
        try:
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
        except ProcessLookupError:
            return


def test_without_root_the_message_says_how_an_engine_gets_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match=r"only root can start one.*systemctl start docker.*DOCKER_HOST"):
        start_engine(answers=lambda: False, progress=Progress())


def test_an_engine_that_the_environment_names_and_that_is_silent_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert engine.connect_running() is None
    with pytest.raises(LabError, match=r"no Docker engine answers at DOCKER_HOST=unix://.*none\.sock"):
        engine.connect(progress=Progress())


def test_dockerd_runs_in_a_session_of_its_own_with_its_log_and_pid_in_the_cache(
    machine: Callable[[str], Callable[[], bool]], tmp_path: Path
) -> None:
    answers = machine("echo hello; answer")
    start_engine(answers=answers, progress=Progress())
    directory = tmp_path / "cache" / "engine"
    pid = int((directory / "dockerd.pid").read_text())
    assert os.getsid(pid) == pid
    assert (directory / "dockerd.log").read_text() == "hello\n"


def test_a_dockerd_that_ends_is_reported_with_its_last_lines_and_its_log(
    machine: Callable[[str], Callable[[], bool]], tmp_path: Path
) -> None:
    answers = machine("echo no more disk; exit 1")
    with pytest.raises(LabError, match="no more disk") as refusal:
        start_engine(answers=answers, progress=Progress())
    assert str(tmp_path / "cache" / "engine" / "dockerd.log") in str(refusal.value)


def test_a_dockerd_that_never_answers_is_ended(machine: Callable[[str], Callable[[], bool]], tmp_path: Path) -> None:
    answers = machine("exec sleep 60")
    with pytest.raises(LabError, match="did not answer within 5 s"):
        start_engine(answers=answers, progress=Progress())
    pid = int((tmp_path / "cache" / "engine" / "dockerd.pid").read_text())
    assert not Path(f"/proc/{pid}").exists()


def test_when_the_storage_driver_fails_vfs_is_tried(
    machine: Callable[[str], Callable[[], bool]], capsys: pytest.CaptureFixture[str]
) -> None:
    answers = machine(
        'case "$*" in *vfs*) answer ;; *) echo "error initializing graphdriver: not supported"; exit 1 ;; esac'
    )
    start_engine(answers=answers, progress=Progress())
    assert "trying vfs" in capsys.readouterr().err


def test_when_iptables_fails_the_other_flavour_is_tried_for_dockerd_alone(
    machine: Callable[[str], Callable[[], bool]], tmp_path: Path
) -> None:
    answers = machine(
        'case "$(iptables --version)" in *legacy*) answer ;; *) echo "Error: iptables: No chain"; exit 1 ;; esac'
    )
    for name, says in (
        ("iptables", "iptables v1.8.9 (nf_tables)"),
        ("iptables-legacy", "iptables v1.8.9 (legacy)"),
        ("ip6tables-legacy", "ip6tables v1.8.9 (legacy)"),
    ):
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\necho '{says}'\n")
        program.chmod(0o755)
    start_engine(answers=answers, progress=Progress())
    link = tmp_path / "cache" / "engine" / "iptables-legacy" / "iptables"
    assert link.readlink().name == "iptables-legacy"


def test_the_pid_file_of_an_engine_that_is_gone_does_not_stop_the_next_one(
    machine: Callable[[str], Callable[[], bool]], tmp_path: Path
) -> None:
    stale = tmp_path / "docker.pid"
    # A process that lives and is no dockerd: what a pid file points to after a crash and a reboot.
    stale.write_text(f"{os.getpid()}")
    answers = machine(
        f"[ ! -e {stale} ] || {{ echo 'process with PID {os.getpid()} is still running'; exit 1; }}; answer"
    )
    start_engine(answers=answers, progress=Progress())
    assert not stale.exists()
