"""A first deploy on a node whose driver breaks, or loses a GPU, right after the driver check passed.

The device plugin is NVIDIA's own and crashes for its own reason; what is taken from it is the stand-in driver's list of
GPUs (see lab/stand_ins/README.md).
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.checkout import LAB_FLEET
from tests.lab.main_job.conftest import Run, edge_gpu, gpu_report, on_node

GPUS_FILE = "/etc/edge-gpu-lab/gpus.conf"
PLUGIN = "nvidia-device-plugin"
K3S_COMES_WITHIN_SECONDS = 240


@pytest.fixture(scope="module")
def fleet_file(bare_nodes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:  # noqa: ARG001
    """The lab's nodes as a fleet of its own, with less patience; destroyed in the end, the driver whole again."""
    path = tmp_path_factory.mktemp("fleets") / "lab-first.yaml"
    text = LAB_FLEET.read_text().replace("name: lab\n", "name: lab-first\n", 1)
    path.write_text(text.replace("gpu_check:\n", "gpu_check:\n  timeout_seconds: 45\n", 1))
    on_node("gpu-1", "cp", GPUS_FILE, "/root/gpus.conf")
    yield path
    on_node("gpu-1", "cp", "/root/gpus.conf", GPUS_FILE)
    gone = edge_gpu("destroy", fleet=path)
    assert gone.code == 0, gone.output


@pytest.fixture(scope="module")
def crashed(fleet_file: Path) -> Run:
    """The first deploy; gpu-1's driver is gone from the moment that K3s is put there."""
    waiting = threading.Thread(target=break_driver_when_k3s_comes)
    waiting.start()
    deploy = edge_gpu("deploy", fleet=fleet_file)
    waiting.join()
    return deploy


def break_driver_when_k3s_comes() -> None:
    deadline = time.monotonic() + K3S_COMES_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if on_node("gpu-1", "ls", "/usr/local/bin/k3s", check=False):
            on_node("gpu-1", "rm", GPUS_FILE)
            return
        time.sleep(0.2)


def told(run: Run) -> str:
    """The output in one line: Terraform breaks its own."""
    return " ".join(run.output.split())


def test_a_crashing_device_plugin_fails_the_deploy_with_node_counts_and_its_last_log_lines(crashed: Run) -> None:
    assert crashed.code == 1
    assert "node=gpu-1 step=gpu-gate: expected 2 nvidia.com/gpu allocatable, seen 0" in told(crashed)
    assert re.search(rf"last lines of pod/{PLUGIN}-\w+ on gpu-1:", told(crashed)), crashed.output
    assert "error starting plugins" in told(crashed)
    cause = rf"cause: device plugin pod/{PLUGIN}-\w+: Running, (CrashLoopBackOff|Error), \d+ restarts, exit code 1"
    assert re.search(cause, told(crashed)), crashed.output
    assert "fix: read the plugin's last lines above" in told(crashed)


def test_the_other_gpu_node_is_checked_all_the_same(crashed: Run) -> None:
    assert "gpu-check/gpu-2/job: Creation complete" in crashed.output
    assert "node=gpu-2 step=gpu-gate" not in told(crashed)


@pytest.mark.usefixtures("crashed")
def test_a_lost_gpu_fails_the_deploy_with_what_is_expected_and_what_is_seen(fleet_file: Path) -> None:
    on_node("gpu-1", "sh", "-c", f"grep -v ^1 /root/gpus.conf >{GPUS_FILE}")
    restart_plugin_on_gpu_1()
    lost = edge_gpu("deploy", fleet=fleet_file)
    assert lost.code == 1
    assert "node=gpu-1 step=gpu-gate: expected 2 nvidia.com/gpu allocatable, seen 1" in told(lost)
    assert re.search(rf"last lines of pod/{PLUGIN}-\w+ on gpu-1:", told(lost)), lost.output


@pytest.mark.usefixtures("crashed")
def test_with_the_driver_whole_again_the_same_deploy_ends_well(fleet_file: Path) -> None:
    on_node("gpu-1", "cp", "/root/gpus.conf", GPUS_FILE)
    restart_plugin_on_gpu_1()
    healed = edge_gpu("deploy", fleet=fleet_file)
    assert healed.code == 0, healed.output
    report = gpu_report(fleet=fleet_file)
    assert {node: entry["exit_code"] for node, entry in report.items()} == {"gpu-1": 0, "gpu-2": 0}


def restart_plugin_on_gpu_1() -> None:
    """What kubelet does by itself, after a back-off that grows."""
    on_node(
        "server-1", "k3s", "kubectl", "delete", "pod", "-n", PLUGIN, "--field-selector=spec.nodeName=gpu-1",
    )  # fmt: skip
