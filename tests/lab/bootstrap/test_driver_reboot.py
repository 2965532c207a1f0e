"""A new driver on a node of a running cluster: the deploy installs it, drains and reboots the node, and goes on.

The driver is a stand-in (driver_stand_ins.py). The drain, the reboot and what follows it are real: the node is a
container whose systemd ends, which its engine starts anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.checkout import LAB_FLEET
from tests.lab.bootstrap.driver_stand_ins import UBUNTU_PACKAGES, load_old_module, put_stand_ins, remove_stand_ins
from tests.lab.main_job.conftest import Run, edge_gpu, kubectl, on_node

UBUNTU: dict[str, Any] = {"driver": {"mode": "ubuntu"}}
REBOOT: dict[str, Any] = {**UBUNTU, "reboot": {"allowed": True, "timeout_seconds": 180, "drain_timeout_seconds": 90}}
SLEEPER = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "sleeper", "namespace": "default"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "sleeper"}},
        "template": {
            "metadata": {"labels": {"app": "sleeper"}},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "nodeSelector": {"kubernetes.io/hostname": "gpu-1"},
                "containers": [
                    {"name": "sleep", "image": "edge-gpu-lab/gpu-check-base:bookworm", "command": ["sleep", "3600"]}
                ],
            },
        },
    },
}


def two_nodes(path: Path, **changes: Any) -> Path:
    """The lab's fleet as one of its own, without gpu-2."""
    data = yaml.safe_load(LAB_FLEET.read_text())
    data["nodes"] = [node for node in data["nodes"] if node["name"] != "gpu-2"]
    path.write_text(yaml.safe_dump({**data, "name": "lab-reboot", **changes}))
    return path


def flat(run: Run) -> str:
    return " ".join(run.output.split())


def first_process_start() -> str:
    return on_node("gpu-1", "sh", "-c", "sed 's/^.*) //' /proc/1/stat | cut -d' ' -f20")


@pytest.fixture(scope="module")
def fleet_file(bare_nodes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:  # noqa: ARG001
    """A running cluster of two nodes, a pod of a Deployment on gpu-1, and there a new driver for apt to install."""
    folder = tmp_path_factory.mktemp("reboot")
    path = two_nodes(folder / "lab-reboot.yaml")
    first = edge_gpu("deploy", fleet=path)
    assert first.code == 0, first.output
    manifest = json.dumps(SLEEPER)
    on_node("server-1", "sh", "-c", f"echo '{manifest}' | k3s kubectl apply -f -")
    on_node("server-1", "k3s", "kubectl", "rollout", "status", "deployment/sleeper", "--timeout=60s")
    put_stand_ins("gpu-1", folder=folder)
    load_old_module("gpu-1", gpus=2)
    yield path
    gone = edge_gpu("destroy", fleet=path)
    remove_stand_ins("gpu-1")
    assert gone.code == 0, gone.output


@pytest.fixture(scope="module")
def refused(fleet_file: Path) -> Run:
    return edge_gpu("deploy", fleet=two_nodes(fleet_file, **UBUNTU))


@pytest.fixture(scope="module")
def rebooted(refused: Run, fleet_file: Path) -> tuple[str, Run]:
    assert refused.code == 1
    before = first_process_start()
    return before, edge_gpu("deploy", fleet=two_nodes(fleet_file, **REBOOT))


def test_where_reboots_are_not_allowed_the_deploy_fails_and_says_so(refused: Run) -> None:
    assert refused.code == 1
    assert "ERROR node=gpu-1 step=driver: the driver waits for a reboot" in flat(refused)
    assert "580.0.0-stand-in is installed, 535.54.03 is loaded until the next boot" in flat(refused)
    assert "fix: set reboot.allowed in the fleet file" in flat(refused)
    assert set(UBUNTU_PACKAGES) <= set(on_node("gpu-1", "apt-mark", "showhold").split())


def test_where_they_are_the_node_is_drained_and_rebooted_and_the_deploy_goes_on(rebooted: tuple[str, Run]) -> None:
    before, deploy = rebooted
    assert deploy.code == 0, deploy.output
    assert first_process_start() != before
    assert "gpu-1 reboot: drains the node" in flat(deploy)
    assert "gpu-1 rebooted: booted again" in flat(deploy)
    assert "gpu-1 rebooted: driver 580.0.0-stand-in" in flat(deploy)


@pytest.mark.usefixtures("rebooted")
def test_the_node_takes_pods_again_and_its_own_is_another_one() -> None:
    assert not kubectl("get", "node", "gpu-1")["spec"].get("unschedulable", False)
    on_node("server-1", "k3s", "kubectl", "rollout", "status", "deployment/sleeper", "--timeout=60s")
    evicted = on_node(
        "server-1", "sh", "-c", "k3s kubectl get events -A --field-selector reason=Killing -o name | grep -c ."
    )
    assert int(evicted) >= 1
    assert on_node("gpu-1", "sh", "-c", "test ! -e /var/lib/edge-gpu/reboot && echo gone") == "gone\n"


@pytest.mark.usefixtures("rebooted")
def test_a_second_deploy_reboots_and_changes_nothing(fleet_file: Path) -> None:
    start = first_process_start()
    diff = edge_gpu("diff", fleet=fleet_file)
    assert "No changes." in diff.output, diff.output
    second = edge_gpu("deploy", fleet=fleet_file)
    assert second.code == 0, second.output
    assert first_process_start() == start
