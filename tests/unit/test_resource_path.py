"""Node and step of a resource, by its path in the stack."""

from __future__ import annotations

import pytest

from scripts.resource_path import node_and_step

NODES = ("gpu-1", "server-1")


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("cluster/gpu-1/machine/preflight/run", "preflight"),
        ("cluster/gpu-1/machine/reboot/rebooted/run", "rebooted"),
        ("cluster/gpu-1/machine/bundle/run", "bundle"),
        ("cluster/gpu-1/machine/bundle/bundle-removal/on-destroy", "bundle-removal"),
        ("cluster/gpu-1/node/k3s/run", "k3s"),
        ("gpu-check/gpu-1/gpu-gate/run", "gpu-gate"),
        ("gpu-check/gpu-1/job", "job"),
        ("hand-over-gpu-check/gpu-1/image-edge-gpu-check/run", "image-edge-gpu-check"),
        ("cluster/gpu-1", "unknown"),
    ],
)
def test_a_machines_resource_tells_its_step_whether_the_fleet_is_known_or_not(path: str, step: str) -> None:
    assert node_and_step(path) == node_and_step(path, nodes=NODES) == ("gpu-1", step)


def test_a_resource_of_no_machine_of_the_fleet_is_nobodys() -> None:
    assert node_and_step("nvidia-device-plugin/release", nodes=NODES) == ("", "")


def test_a_node_may_be_called_like_a_level() -> None:
    assert node_and_step("cluster/node/node/k3s/run", nodes=("node",)) == ("node", "k3s")
