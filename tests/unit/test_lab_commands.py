"""The lab's commands where no engine is needed, and what they stand on."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from lab import engine, status
from lab.__main__ import main
from lab.artifacts.command import BuildError, run_command
from lab.errors import LabError
from lab.part import Part
from lab.parts_file import parts_text, read_parts
from lab.progress import Progress
from lab.settings import load_settings
from lab.ssh_key import ensure_ssh_key
from lab.status import ContainerStatus, LabStatus, as_json, as_text
from lab.together import run_both, run_together
from lab.turn import only_one

REAL = Part(name="k3s", version="v1", source="Go module", kind="real", path=Path("/cache/k3s"))
STAND_IN = Part(
    name="nvidia-smi", version="580-stand-in", source="lab/stand_ins", kind="stand-in", path=Path("/cache/d")
)


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("EDGE_GPU_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("arguments", [["up"], ["down"], ["exec", "gpu-1", "--", "true"]])
@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_a_command_fails_with_a_message(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "ERROR: no Docker engine answers" in said
    assert "Traceback" not in said


@pytest.mark.usefixtures("no_engine")
def test_status_without_an_engine_lists_every_node_as_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["engine"] is False
    assert [(node["name"], node["state"]) for node in told["containers"]] == [
        ("site", "missing"),
        ("server-1", "missing"),
        ("gpu-1", "missing"),
        ("gpu-2", "missing"),
    ]


def test_a_wrong_setting_is_refused_by_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_SUBNET", "nonsense")
    assert main(["status"]) == 1
    assert "LAB_SUBNET='nonsense'" in capsys.readouterr().err


def test_wrong_sources_are_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_SOURCES", "internet")
    monkeypatch.setattr(engine, "connect_running", lambda: pytest.fail("the engine was asked"))
    assert main(["up"]) == 1
    assert "LAB_SOURCES='internet'" in capsys.readouterr().err


def test_exec_without_a_command_says_how_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exec", "gpu-1", "--"]) == 1
    assert "python -m lab exec gpu-1 -- CMD" in capsys.readouterr().err


def test_an_engine_that_refuses_this_user_is_told_from_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_options: object) -> None:
        try:
            raise PermissionError(13, "Permission denied")
        except PermissionError as error:
            raise engine.DockerException(f"Error while fetching server API version: {error}") from error

    monkeypatch.setattr(engine.docker, "from_env", refuse)
    with pytest.raises(LabError, match="group docker"):
        engine.connect_running()


def test_status_says_of_every_part_whether_it_is_real() -> None:
    seen = LabStatus(
        name="edge-gpu-lab",
        engine=True,
        containers=[
            ContainerStatus(name="site", address="172.29.0.2", state="running"),
            ContainerStatus(
                name="gpu-1",
                address="172.29.0.12",
                state="running",
                ssh=True,
                k3s="k3s-agent",
                role="agent",
                stand_in_gpus=2,
            ),
        ],
        parts=[REAL, STAND_IN],
    )
    lines = as_text(seen).splitlines()
    assert "gpu-1  agent        172.29.0.12  running  yes  k3s-agent  2 (stand-in)" in lines
    assert "k3s         v1            real             Go module" in lines
    assert "nvidia-smi  580-stand-in  stand-in         lab/stand_ins" in lines
    assert [part["kind"] for part in json.loads(as_json(seen))["parts"]] == ["real", "stand-in"]


def test_the_kept_parts_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "parts.json"
    file.write_text(parts_text([REAL, STAND_IN]))
    assert read_parts(file) == [REAL, STAND_IN]


@pytest.mark.parametrize("text", ["", "{", '[{"name": "x"}]', '["x"]'])
def test_kept_parts_that_cannot_be_read_count_as_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "parts.json"
    file.write_text(text)
    assert read_parts(file) == []


def test_a_status_without_parts_says_that_no_lab_was_up() -> None:
    assert "No `lab up` of this checkout" in status.as_text(LabStatus(name="x", engine=True, containers=[], parts=[]))


def test_the_ssh_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / ".edge" / "lab-ssh" / "id_ed25519"
    public = ensure_ssh_key(path)
    load_ssh_public_key(public.encode())
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    content = path.read_bytes()
    assert ensure_ssh_key(path) == public
    assert path.read_bytes() == content


def test_an_ssh_key_that_is_none_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "id_ed25519"
    path.write_text("oops\n")
    with pytest.raises(LabError, match=r"no unencrypted OpenSSH private key .* remove it"):
        ensure_ssh_key(path)
    assert path.read_text() == "oops\n"


def test_calls_run_at_the_same_time_and_answer_in_order() -> None:
    meeting = threading.Barrier(3, timeout=5)

    def call(number: int) -> int:
        meeting.wait()
        return number

    assert run_together([lambda number=number: call(number) for number in range(3)]) == [0, 1, 2]  # type: ignore[misc]
    assert run_both(lambda: 1, lambda: "a") == (1, "a")


def test_when_one_call_fails_the_commands_of_the_others_are_ended() -> None:
    def fail() -> str:
        time.sleep(0.3)
        raise LabError("the first failure")

    started = time.monotonic()
    with pytest.raises(LabError, match="the first failure"):
        run_together([lambda: run_command(["sleep", "30"], timeout_seconds=60), fail])
    assert time.monotonic() - started < 10
    with pytest.raises(BuildError):
        run_command(["false"], timeout_seconds=5)


def test_a_second_process_waits_for_its_turn_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDGE_GPU_CACHE", str(tmp_path))
    settings = load_settings({})
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True);"
            " time.sleep(60)",
            str(tmp_path / "edge-gpu-lab.lock"),
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with (
            pytest.raises(LabError, match=r"more than 1 s \(lock .*edge-gpu-lab\.lock\)"),
            only_one(settings, progress=Progress(), timeout_seconds=1),
        ):
            pytest.fail("two had their turn at once")
        assert "waiting for another process" in capsys.readouterr().err
    finally:
        holder.kill()
        holder.wait()
    # Its lock went with it.
    with only_one(settings, progress=Progress(), timeout_seconds=1):
        pass
