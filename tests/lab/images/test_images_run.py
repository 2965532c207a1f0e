"""scripts/runcontainer.sh on a real engine, and the node's side of the hand-over in a container."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from constructs_lib.node_script import node_script
from lab.artifacts.stand_in_driver import StandInGpu
from tests.lab.images import bases
from tests.lab.images.engine import Engine

SCRIPT = Path(__file__).parents[3] / "scripts" / "runcontainer.sh"
IMAGE = bases.CUDA.removeprefix("docker.io/")


def runcontainer(engine: Engine, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "XAUTHORITY")}
    return subprocess.run(
        [SCRIPT, *words],
        cwd=folder,
        env={**environment, "DOCKER_HOST": engine.host},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.usefixtures("mirror")
def test_the_container_sees_the_gpus_and_the_folder_and_is_gone_afterwards(
    engine: Engine, tmp_path: Path, gpus: list[StandInGpu]
) -> None:
    (tmp_path / "mine").write_text("here\n")
    done = runcontainer(
        engine, tmp_path, IMAGE, "sh", "-c", "nvidia-smi --query-gpu=uuid --format=csv,noheader; cat mine"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [*(gpu.uuid for gpu in gpus), "here"]
    assert engine.client.containers.list(all=True, filters={"label": "edge-gpu.container"}) == []


@pytest.mark.usefixtures("mirror")
def test_one_gpu_or_none_can_be_asked_for(engine: Engine, tmp_path: Path, gpus: list[StandInGpu]) -> None:
    one = runcontainer(engine, tmp_path, "--gpus", gpus[1].uuid, IMAGE, "nvidia-smi", "-L")
    assert gpus[1].uuid in one.stdout
    assert gpus[0].uuid not in one.stdout
    assert (
        runcontainer(engine, tmp_path, "--gpus", "none", IMAGE, "sh", "-c", "! command -v nvidia-smi").returncode == 0
    )


@pytest.mark.usefixtures("mirror")
def test_a_second_run_from_the_same_folder_enters_the_container_that_runs(engine: Engine, tmp_path: Path) -> None:
    first = subprocess.Popen(
        [SCRIPT, IMAGE, "sh", "-c", "touch /tmp/first; sleep 60"],
        cwd=tmp_path, env={**os.environ, "DOCKER_HOST": engine.host}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(100):
            if engine.client.containers.list(filters={"label": "edge-gpu.container"}):
                break
            first.poll()
            assert first.returncode is None
            subprocess.run(["sleep", "0.2"], check=True)
        done = runcontainer(engine, tmp_path, IMAGE, "sh", "-c", "ls /tmp/first && pwd")
        assert done.stdout.split() == ["/tmp/first", "/myROS2"], done.stderr
    finally:
        for container in engine.client.containers.list(filters={"label": "edge-gpu.container"}):
            container.kill()
        first.wait(timeout=30)


def test_an_unknown_image_is_refused_before_anything_starts(engine: Engine, tmp_path: Path) -> None:
    done = runcontainer(engine, tmp_path, "myros2nothing:latest")
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR there is no image myros2nothing:latest here; fix: cdktf deploy edge-images")


def test_an_engine_that_does_not_answer_is_named(engine: Engine, tmp_path: Path) -> None:
    nowhere = Engine(client=engine.client, host=f"unix://{tmp_path}/no.sock")
    done = runcontainer(nowhere, tmp_path, IMAGE)
    assert done.returncode == 1
    assert done.stderr.startswith(f"ERROR the Docker engine does not answer (unix://{tmp_path}/no.sock); fix: ")


class Node:
    """A container in the place of a node: real shell and files, and a K3s that says what it is told to."""

    def __init__(self, container: docker.models.containers.Container) -> None:
        self._container = container

    def sh(self, script: str) -> tuple[int, str]:
        """Run a script as root; exit code and output."""
        code, printed = self._container.exec_run(["sh", "-c", script], user="0")
        return code, printed.decode()

    def hand_over(self, content: str, *, sha256: str | None = None, timeout_seconds: int = 1) -> tuple[int, str]:
        """Upload an archive as Terraform does, and run the step."""
        expected = sha256 or hashlib.sha256(content.encode()).hexdigest()
        step = node_script(
            "image_handover.sh",
            step="image",
            node="node-1",
            parameters={"IMAGE": "mine:1", "ARCHIVE": "mine", "IMPORT_TIMEOUT_SECONDS": str(timeout_seconds)},
        )
        upload = f"mkdir -p /root/.edge-gpu && cd /root/.edge-gpu && printf %s '{content}' >mine.tar"
        code, printed = self.sh(
            f"{upload} && echo {expected} >mine.tar.sha256 && cat >step.sh <<'STEP'\n{step}\nSTEP\n"
        )
        assert code == 0, printed
        return self.sh("sh /root/.edge-gpu/step.sh")


def placed_as(content: str) -> str:
    return f"mine.{hashlib.sha256(content.encode()).hexdigest()[:12]}.tar"


@pytest.fixture
def node(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Node]:
    request.getfixturevalue("mirror")
    container = engine.client.containers.run(IMAGE, ["sleep", "300"], detach=True, network_mode="none", init=True)
    found = Node(container)
    found.sh("printf '#!/bin/sh\\n[ -e /run/k3s-runs ]\\n' >/usr/bin/systemctl; chmod 755 /usr/bin/systemctl")
    found.sh(
        "printf '#!/bin/sh\\n[ -e /run/imports ] && ls /var/lib/rancher/k3s/agent/images/mine.*.tar\\n' "
        ">/usr/local/bin/k3s; chmod 755 /usr/local/bin/k3s"
    )
    yield found
    container.remove(force=True)


def test_the_archive_is_put_in_place_once_and_the_upload_is_removed(node: Node) -> None:
    node.sh("touch /run/k3s-runs /run/imports")
    code, printed = node.hand_over("one")
    assert code == 0, printed
    placed = f"/var/lib/rancher/k3s/agent/images/{placed_as('one')}"
    assert f"wrote {placed}" in printed
    assert "K3s has mine:1" in printed
    assert node.sh("ls /var/lib/rancher/k3s/agent/images; ls /root/.edge-gpu") == (
        0,
        f"{placed_as('one')}\nstep.sh\n",
    )
    before = node.sh(f"stat -c '%i %Y' {placed}")
    assert "mine:1 is there already" in node.hand_over("one")[1]
    assert node.sh(f"stat -c '%i %Y' {placed}") == before
    # As long as the old one: K3s would not look at it again under the old name.
    assert "wrote" in node.hand_over("two")[1]
    assert node.sh("ls /var/lib/rancher/k3s/agent/images") == (0, f"{placed_as('two')}\n")


def test_an_archive_with_another_sha256_is_refused_and_the_old_one_stays(node: Node) -> None:
    node.hand_over("one")
    code, printed = node.hand_over("two", sha256="0" * 64)
    assert code == 1
    seen = hashlib.sha256(b"two").hexdigest()
    assert "ERROR node=node-1 step=image: the uploaded archive of mine:1 has the wrong sha256" in printed
    assert f"expected {'0' * 64}, seen {seen}" in printed
    assert node.sh("cat /var/lib/rancher/k3s/agent/images/*.tar")[1] == "one"


def test_a_k3s_that_does_not_run_or_does_not_import_is_told_apart(node: Node) -> None:
    code, printed = node.hand_over("one")
    assert (code, "K3s is not running: it imports mine:1 when it starts" in printed) == (0, True)
    node.sh("touch /run/k3s-runs")
    code, printed = node.hand_over("one")
    assert code == 1
    assert "K3s did not import mine:1 within 1 s" in printed


def test_the_removal_takes_the_archive_away_and_nothing_else(node: Node) -> None:
    node.hand_over("one")
    node.sh("touch /var/lib/rancher/k3s/agent/images/other.tar")
    step = node_script("image_handover_remove.sh", step="r", node="node-1", parameters={"ARCHIVE": "mine"})
    for _ in range(2):
        assert node.sh(f"cat >/root/remove.sh <<'STEP'\n{step}\nSTEP\nsh /root/remove.sh")[0] == 0
        assert node.sh("ls /var/lib/rancher/k3s/agent/images") == (0, "other.tar\n")
