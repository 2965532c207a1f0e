"""scripts/runcontainer.sh asks the engine and runs exactly the command that the facts call for."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "runcontainer.sh"
IMAGE = "myros2humble:latest"

# Answers as the docker command does, from a file of facts, and writes down what it is asked to run.
DOCKER = """#!/usr/bin/python3
import json, os, sys
facts = json.load(open(os.environ["FACTS"]))
words = sys.argv[1:]
if words[0] in ("run", "exec"):
    print(json.dumps(words)); sys.exit(facts.get("exit", 0))
if facts.get("daemon_error"):
    print(facts["daemon_error"], file=sys.stderr); sys.exit(1)
if words[0] == "version":
    print("28.0.0")
elif words[:2] == ["image", "inspect"]:
    if words[-1] not in facts["images"]: sys.exit(1)
    if "--format" in words: print(facts.get("driver_minimum", ""))
elif words[:2] == ["container", "inspect"]:
    if words[-1] != facts.get("container"): sys.exit(1)
    print(facts["entrypoint"] if "Entrypoint" in words[3] else facts["state"])
elif words[0] == "ps":
    print(facts.get("labelled", {}).get(words[2].removeprefix("label=edge-gpu.container="), ""))
elif words[0] == "info":
    print(facts.get("cdi", "") if "CDI" in words[2] else facts.get("runtimes", ""))
else:
    sys.exit(f"unexpected: {words}")
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the script in a folder `work` with programs and facts of the test's own."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "docker").write_text(DOCKER)
    (programs / "nvidia-smi").write_text('#!/bin/sh\ncat "$DRIVER_FILE"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    (tmp_path / "work").mkdir()
    (tmp_path / "dev").mkdir()
    (tmp_path / "driver").write_text("580.1.2\n")

    def start(*arguments: str, facts: dict[str, Any] | None = None, **environment: str) -> Any:
        (tmp_path / "facts").write_text(json.dumps({"images": [IMAGE], "runtimes": "nvidia runc ", **(facts or {})}))
        return subprocess.run(
            ["sh", SCRIPT, *arguments],
            cwd=tmp_path / "work",
            env={
                "PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin",
                "FACTS": str(tmp_path / "facts"),
                "DRIVER_FILE": str(tmp_path / "driver"),
                "DEVICE_FOLDER": str(tmp_path / "dev"),
                "X11_FOLDER": str(tmp_path),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return start


def words_of(ended: subprocess.CompletedProcess[str]) -> list[str]:
    assert ended.returncode == 0, ended.stderr
    words: list[str] = json.loads(ended.stdout)
    return words


def value_of(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


def test_the_script_is_clean() -> None:
    found = subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_the_defaults_are_gpus_and_folder_and_nothing_more(run: Run, tmp_path: Path) -> None:
    words = words_of(run(IMAGE, "ros2", "topic list"))
    assert words[-3:] == [IMAGE, "ros2", "topic list"]
    assert value_of(words, "--runtime") == "nvidia"
    assert "NVIDIA_VISIBLE_DEVICES=all" in words
    assert value_of(words, "--mount") == f"type=bind,source={tmp_path}/work,target=/myROS2"
    assert value_of(words, "--workdir") == "/myROS2"
    assert value_of(words, "--security-opt") == "no-new-privileges"
    assert not {"--privileged", "--network", "--device", "--volume", "-v", "--hostname"} & set(words)


def test_a_dry_run_prints_what_would_run_so_that_a_shell_reads_the_same_words(run: Run) -> None:
    awkward = 'it\'s "$HOME" ;'
    printed = run("--dry-run", IMAGE, "echo", awkward, "")
    real = run(IMAGE, "echo", awkward, "")
    assert shlex.split(printed.stdout) == ["docker", *words_of(real)]


def test_the_commands_exit_code_is_the_scripts(run: Run) -> None:
    assert run(IMAGE, "false", facts={"exit": 7}).returncode == 7


def test_without_nvidia_runtime_cdi_is_taken(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cdi").mkdir()
    (tmp_path / "cdi" / "nvidia.yaml").write_text("kind: nvidia.com/gpu\n")
    words = words_of(run("--gpus", "0,1", IMAGE, facts={"runtimes": "runc ", "cdi": f"{tmp_path}/cdi {tmp_path}/no "}))
    devices = [words[index + 1] for index, word in enumerate(words) if word == "--device"]
    assert sorted(devices) == ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]
    assert "--runtime" not in words


@pytest.mark.parametrize("cdi", ["", "{tmp}/empty "])
def test_without_any_way_to_the_gpus_it_says_how_to_get_one(run: Run, tmp_path: Path, cdi: str) -> None:
    (tmp_path / "empty").mkdir()
    ended = run(IMAGE, facts={"runtimes": "runc ", "cdi": cdi.format(tmp=tmp_path)})
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("ERROR the Docker engine has neither the nvidia runtime nor a CDI specification")
    assert "nvidia-ctk runtime configure --runtime=docker" in line
    assert "--runtime" not in words_of(run("--gpus", "none", IMAGE, facts={"runtimes": "runc "}))


@pytest.mark.parametrize(
    ("facts", "message", "fix"),
    [
        ({"images": []}, f"ERROR there is no image {IMAGE} here", "cdktf deploy edge-images"),
        (
            {"daemon_error": "Cannot connect to the Docker daemon"},
            "ERROR the Docker engine does not answer",
            "systemctl",
        ),
        ({"daemon_error": "permission denied while trying"}, "ERROR you may not use the Docker engine", "-aG docker"),
    ],
)
def test_what_is_missing_is_one_clear_line(run: Run, facts: dict[str, Any], message: str, fix: str) -> None:
    ended = run(IMAGE, facts=facts)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(message)
    assert fix in line


def test_without_docker_it_says_so(run: Run, tmp_path: Path) -> None:
    shell = tmp_path / "bin"
    shell.mkdir()
    for name in ("sh", "pwd", "id"):
        (shell / name).symlink_to(f"/bin/{name}")
    ended = run(IMAGE, PATH=str(shell))
    assert ended.returncode == 1
    assert ended.stderr.startswith("ERROR there is no docker command; fix: install Docker Engine")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no image is named"),
        (["--privileged", IMAGE], "unknown option --privileged"),
        (["--name"], "--name needs a value"),
    ],
)
def test_wrong_usage_is_refused(run: Run, arguments: list[str], message: str) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert message in ended.stderr


def test_an_older_driver_than_the_image_needs_is_refused_with_both_numbers(run: Run, tmp_path: Path) -> None:
    (tmp_path / "driver").write_text("470.256.02\n")
    ended = run(IMAGE, facts={"driver_minimum": "510"})
    assert ended.returncode == 1
    assert f"{IMAGE} needs NVIDIA driver 510 or newer, this host has 470.256.02" in ended.stderr
    assert words_of(run("--any-driver", IMAGE, facts={"driver_minimum": "510"}))
    (tmp_path / "driver").write_text("510.47.03\n")
    assert words_of(run(IMAGE, facts={"driver_minimum": "510"}))


def test_a_display_brings_its_one_socket_and_cookie_read_only(run: Run, tmp_path: Path) -> None:
    (tmp_path / "X3").write_text("")
    (tmp_path / "cookie").write_text("")
    words = words_of(run(IMAGE, DISPLAY=":3.0", XAUTHORITY=str(tmp_path / "cookie")))
    assert "DISPLAY=:3.0" in words
    assert f"type=bind,source={tmp_path}/X3,target=/tmp/.X11-unix/X3,readonly" in words
    assert f"type=bind,source={tmp_path}/cookie,target=/run/x-authority,readonly" in words
    assert value_of(words, "--hostname") == os.uname().nodename


@pytest.mark.parametrize("display", [":4", "localhost:3.0", ""])
def test_without_its_socket_a_display_is_left_out(run: Run, tmp_path: Path, display: str) -> None:
    (tmp_path / "X3").write_text("")
    assert "DISPLAY" not in run(IMAGE, DISPLAY=display).stdout


def test_only_devices_that_are_plugged_in_are_given(run: Run, tmp_path: Path) -> None:
    (tmp_path / "dev" / "video0").write_text("no device")
    (tmp_path / "dev" / "ttyUSB0").symlink_to("/dev/null")
    (tmp_path / "dev" / "sda").symlink_to("/dev/null")
    assert value_of(words_of(run(IMAGE)), "--device") == f"{tmp_path}/dev/ttyUSB0"
    assert words_of(run(IMAGE)).count("--device") == 1
    assert "--device" not in words_of(run("--no-devices", IMAGE))


def test_the_hosts_network_only_on_request(run: Run) -> None:
    assert value_of(words_of(run("--host-network", IMAGE)), "--network") == "host"


def test_a_running_container_is_entered_through_its_entrypoint(run: Run) -> None:
    name = value_of(words_of(run(IMAGE)), "--name")
    facts = {"container": name, "state": "running", "entrypoint": "/usr/local/bin/ros-entrypoint "}
    assert words_of(run(IMAGE, facts=facts)) == [
        "exec", "--interactive", name, "/usr/local/bin/ros-entrypoint", "/bin/bash",
    ]  # fmt: skip
    assert words_of(run(IMAGE, "ros2", "doctor", facts=facts))[-2:] == ["ros2", "doctor"]


def test_a_gpu_container_is_entered_by_the_name_in_its_label(run: Run) -> None:
    facts = {"labelled": {"shell": "shell-1a2b3c4d"}, "container": "shell-1a2b3c4d", "state": "running"}
    words = words_of(run("--name", "shell", IMAGE, facts={**facts, "entrypoint": ""}))
    assert words == ["exec", "--interactive", "shell-1a2b3c4d", "/bin/bash"]


def test_a_stopped_container_of_that_name_is_not_touched(run: Run) -> None:
    facts = {"container": "mine", "state": "exited", "entrypoint": ""}
    ended = run("--name", "mine", IMAGE, facts=facts)
    assert ended.returncode == 1
    assert "ERROR a container mine exists and is exited; fix: docker start mine" in ended.stderr


def test_each_folder_has_a_container_of_its_own(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    here = words_of(run(IMAGE))
    there = words_of(run("--folder", "../other", IMAGE))
    assert value_of(here, "--name") != value_of(there, "--name")
    assert value_of(there, "--mount") == f"type=bind,source={tmp_path}/other,target=/myROS2"


def test_an_engine_elsewhere_gets_no_display_or_device_of_this_machine(run: Run, tmp_path: Path) -> None:
    (tmp_path / "X3").write_text("")
    (tmp_path / "dev" / "ttyUSB0").symlink_to("/dev/null")
    ended = run(IMAGE, DISPLAY=":3", DOCKER_HOST="ssh://edge@gpu-1")
    assert not {"--device", "DISPLAY=:3"} & set(words_of(ended))
    assert ended.stderr.startswith("WARNING ssh://edge@gpu-1 is another machine")
