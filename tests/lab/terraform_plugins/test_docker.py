"""The docker stand-in under real Terraform, on this machine's engine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.terraform_plugins.conftest import Workspace

NAME = f"edge-gpu-lab/stand-in-test-{os.getpid()}"
PROVIDER = {"docker": {"source": "kreuzwerker/docker", "version": "3.6.2"}}


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Path]:
    """A build context that needs no base image; the images' second name, which destroy leaves, is removed after."""
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "file").write_text("one")
    (directory / "secret.txt").write_text("not for the image")
    (directory / ".dockerignore").write_text("secret.txt\n")
    (directory / "Dockerfile").write_text("FROM scratch\nARG WHO=nobody\nLABEL who=$WHO\nCOPY . /\n")
    yield directory
    subprocess.run(["docker", "rmi", f"{NAME}:second"], capture_output=True, check=False, timeout=60)


def image(context: Path, *, who: str = "lab", **more: Any) -> dict[str, Any]:
    build = {
        "context": str(context),
        "dockerfile": f"{context}/Dockerfile",
        "build_args": {"WHO": who},
        "tag": [f"{NAME}:second"],
        "label": {"made": "by the test"},
    }
    return {
        "terraform": {"required_providers": PROVIDER},
        "provider": {"docker": {}},
        "resource": {"docker_image": {"test": {"name": f"{NAME}:1", "build": [build], **more}}},
        "output": {"image": {"value": "${docker_image.test.image_id}"}},
    }


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=60).stdout


def inspect(reference: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(docker("image", "inspect", reference))
    return found[0]


def test_an_image_is_built_kept_and_removed(workspace: Workspace, context: Path) -> None:
    workspace.write(image(context))
    outputs = workspace.applied()
    found = inspect(f"{NAME}:1")
    assert found["Id"] == outputs["image"] == inspect(f"{NAME}:second")["Id"]
    assert found["Config"]["Labels"] == {"who": "lab", "made": "by the test"}
    assert workspace.changes() == {}
    workspace.destroy()
    assert subprocess.run(["docker", "image", "inspect", f"{NAME}:1"], capture_output=True, check=False).returncode != 0


def test_an_image_that_somebody_removed_is_built_again(workspace: Workspace, context: Path) -> None:
    workspace.write(image(context))
    workspace.applied()
    docker("rmi", f"{NAME}:1", f"{NAME}:second")
    assert workspace.changes() == {"docker_image.test": ["create"]}


def test_another_build_argument_or_trigger_builds_anew(workspace: Workspace, context: Path) -> None:
    workspace.write(image(context, triggers={"context": "1"}))
    workspace.applied()
    workspace.write(image(context, triggers={"context": "2"}))
    assert workspace.changes() == {"docker_image.test": ["delete", "create"]}
    workspace.write(image(context, who="else", triggers={"context": "1"}))
    workspace.applied()
    assert inspect(f"{NAME}:1")["Config"]["Labels"]["who"] == "else"


def test_keeping_the_image_is_a_change_in_place(workspace: Workspace, context: Path) -> None:
    workspace.write(image(context))
    workspace.applied()
    workspace.write(image(context, keep_locally=True))
    assert workspace.changes() == {"docker_image.test": ["update"]}


def test_a_build_that_fails_shows_its_step_and_that_a_stand_in_speaks(workspace: Workspace, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY missing /\n")
    workspace.write(image(context))
    done = workspace.apply()
    assert done.code != 0
    assert "missing" in done.output
    assert "(lab stand-in)" in done.output
    assert "edge-gpu lab stand-in for kreuzwerker/docker 3.6.2" in done.output


def test_an_unreachable_engine_fails_unless_it_need_not_be_asked(workspace: Workspace, context: Path) -> None:
    configuration = image(context)
    configuration["provider"]["docker"] = {"host": "unix:///nowhere/docker.sock"}
    workspace.write(configuration)
    assert "Error pinging Docker server" in workspace.plan().output
    configuration["provider"]["docker"]["disable_docker_daemon_check"] = True
    workspace.write(configuration)
    assert workspace.plan().code == 0


def test_a_network_and_a_volume_are_made_read_and_removed(workspace: Workspace) -> None:
    name = f"edge-gpu-stand-in-{os.getpid()}"
    configuration: dict[str, Any] = {
        "terraform": {"required_providers": PROVIDER},
        "provider": {"docker": {}},
        "resource": {
            "docker_network": {"test": {"name": name, "labels": [{"label": "a", "value": "b"}]}},
            "docker_volume": {"test": {"name": name}},
        },
        "output": {"driver": {"value": "${docker_network.test.driver}"}},
    }
    workspace.write(configuration)
    assert workspace.applied() == {"driver": "bridge"}
    assert workspace.changes() == {}
    docker("volume", "rm", name)
    assert workspace.changes() == {"docker_volume.test": ["create"]}
