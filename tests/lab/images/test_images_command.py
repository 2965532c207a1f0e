"""`cdktf deploy edge-images` as a user types it, on a fleet file with an `images` section."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from scripts.checkout import LAB_FLEET, LAB_TERRAFORM_CONFIG, ROOT
from scripts.environment import command_environment
from tests.lab.images.engine import Engine
from tests.lab.images.mirror import Mirror

IMAGES = """
images:
  build:
    - {{image: gpu-check, kernel: false}}
  docker_host: {docker_host}
  mirrors: {mirrors}
"""


def cdktf(*words: str, fleet: Path) -> subprocess.CompletedProcess[str]:
    """Run cdktf in the environment that `.env` has, for this fleet."""
    return subprocess.run(
        ["cdktf", *words, "--no-color"],
        cwd=ROOT,
        env={**command_environment(fleet=fleet), "TF_CLI_CONFIG_FILE": str(LAB_TERRAFORM_CONFIG)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture
def fleet(engine: Engine, mirror: Mirror, tmp_path: Path) -> Path:
    """The lab's fleet with an image, under a name of its own."""
    command = ["python", "-m", "lab", "up"]
    subprocess.run(command, cwd=ROOT, env=command_environment(fleet=LAB_FLEET), timeout=900, check=True)
    path = tmp_path / "lab-images.yaml"
    text = LAB_FLEET.read_text().replace("name: lab\n", "name: lab-images\n", 1)
    path.write_text(text + IMAGES.format(docker_host=engine.host, mirrors=json.dumps(mirror.arguments)))
    identity = ["python", "-m", "stacks.identity", str(path)]
    subprocess.run(identity, cwd=ROOT, env=command_environment(fleet=path), timeout=60, check=True)
    return path


def test_a_base_without_a_digest_is_refused_until_the_fleet_file_allows_it(fleet: Path, engine: Engine) -> None:
    refused = cdktf("deploy", "edge-images", "--auto-approve", fleet=fleet)
    assert refused.returncode == 1
    assert f"{fleet}: images: base ubuntu-22.04 (docker.io/library/ubuntu:22.04) has no digest" in refused.stdout
    assert "python -m stacks.lock_bases ubuntu-22.04" in refused.stdout
    assert "Traceback" not in refused.stdout

    fleet.write_text(fleet.read_text() + "  allow_unlocked_bases: true\n")
    deployed = cdktf("deploy", "edge-images", "--auto-approve", fleet=fleet)
    assert deployed.returncode == 0, deployed.stdout
    assert "WARNING base ubuntu-22.04: UNLOCKED" in deployed.stdout
    image = engine.client.images.get("edge-gpu-check:latest")
    assert str(image.id) in deployed.stdout

    again = cdktf("deploy", "edge-images", "--auto-approve", fleet=fleet)
    assert again.returncode == 0, again.stdout
    assert "No changes. Your infrastructure matches the configuration." in again.stdout

    # Each stack has its own state and its own data folder: neither asks for an `init -reconfigure`.
    cluster = cdktf("diff", "edge-gpu", fleet=fleet)
    assert cluster.returncode == 0, cluster.stdout
    assert "Plan: " in cluster.stdout
    assert "0 to destroy" in cluster.stdout

    gone = cdktf("destroy", "edge-images", "--auto-approve", fleet=fleet)
    assert gone.returncode == 0, gone.stdout
    assert engine.client.images.get("edge-gpu-check:latest").id == image.id, "a destroy throws no image away"
