"""An image goes from the engine that built it to a K3s node of the lab, without a registry, by Terraform over SSH."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from constructs_lib import cdk
from constructs_lib.cdk import TerraformStack
from lab.artifacts.base_images import GPU_CHECK_ARCHIVE, build_gpu_check_image
from lab.progress import Progress
from scripts.checkout import LAB_FLEET, ROOT
from scripts.environment import command_environment
from stacks.edge_images import EdgeImagesStack
from stacks.fleet import Images, LocalBackendSettings, load_fleet
from stacks.fleet_to_constructs import machines
from tests.lab.images.engine import Engine
from tests.lab.images.mirror import IMAGES
from tests.lab.images.terraform import Project

NODE = "gpu-1"
ARCHIVE = "/var/lib/rancher/k3s/agent/images/edge-gpu-check."
SMALL = "small.invalid"


def command(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, env=command_environment(fleet=LAB_FLEET), timeout=900,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def on_node(script: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "lab", "exec", NODE, "--", "sh", "-c", script]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def k3s_node() -> None:
    """The lab's node with K3s on it: what runs already is left as it is."""
    command("lab", "up")
    if on_node("systemctl is-active k3s-agent").returncode != 0:
        command("scripts.edge_gpu", "deploy")


def stack_of(images: Path, folder: Path) -> TerraformStack:
    fleet = load_fleet(LAB_FLEET)
    return EdgeImagesStack(
        cdk.Testing.app(),
        "edge-images",
        images=Images.model_validate(
            {
                "build": [{"image": "gpu-check", "kernel": False, "hand_over_to": [NODE]}],
                "allow_unlocked_bases": True,
                # In the place of Ubuntu: the lab's own image with a shell, which is a hundredth of its size.
                "registry_mirrors": {"docker.io": SMALL},
            }
        ),
        hosts={machine.name: machine.host for machine in machines(fleet)},
        backend=LocalBackendSettings(type="local"),
        images_folder=images,
        edge_folder=folder,
    )


@pytest.mark.usefixtures("k3s_node")
def test_a_node_gets_the_image_once_again_when_it_changed_and_loses_the_archive_at_destroy(
    engine: Engine, tmp_path: Path
) -> None:
    images, work = tmp_path / "images", tmp_path / "project"
    shutil.copytree(IMAGES, images)
    with (build_gpu_check_image(progress=Progress()).path / GPU_CHECK_ARCHIVE).open("rb") as stream:
        engine.client.images.load(stream)[0].tag(f"{SMALL}/library/ubuntu", "22.04")
    work.mkdir()
    project = Project(work, docker_host=engine.host)
    names = []
    for change in ("", "# changed\n"):
        with (images / "gpu-check" / "gpu-check.sh").open("a") as script:
            script.write(change)
        applied = project.apply(stack_of(images, tmp_path))
        assert applied.code == 0, applied.output
        assert f"{NODE} image-edge-gpu-check: wrote {ARCHIVE}" in applied.output
        names.append(project.output("images")["edge-gpu-check"]["image"])
        assert on_node(f"k3s crictl inspecti -q {names[-1]} >/dev/null").returncode == 0, "K3s has it"
    assert names[0] != names[1]
    again = project.plan(stack_of(images, tmp_path))
    assert again.code == 0, again.output
    gone = project.destroy(stack_of(images, tmp_path))
    assert gone.code == 0, gone.output
    assert on_node(f"! ls {ARCHIVE}*").returncode == 0
    assert on_node("ls /home/edge/.edge-gpu/*.tar").stdout == "", "uploads are removed"
