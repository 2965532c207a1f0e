"""The stand-in driver's node files: GPUs that say what they are, and a CDI specification that isolates them."""

from __future__ import annotations

import pytest
import yaml

from lab.artifacts.stand_in_driver import cdi_spec, driver_node_files, stand_in_gpus


def test_gpus_have_lasting_uuids_that_differ_over_nodes() -> None:
    first, again, other = (stand_in_gpus(node=node, count=2) for node in ("gpu-1", "gpu-1", "gpu-2"))
    assert first == again
    assert len({gpu.uuid for gpu in first + other}) == 4
    assert all(gpu.uuid.startswith("GPU-") for gpu in first)


def test_every_gpu_says_that_it_is_a_stand_in() -> None:
    assert all("Stand-in" in gpu.name for gpu in stand_in_gpus(node="gpu-1", count=2))


@pytest.mark.parametrize("count", [-1, 17])
def test_an_impossible_number_of_gpus_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=rf"node gpu-1: {count} stand-in GPUs; 0 to 16 are possible"):
        stand_in_gpus(node="gpu-1", count=count)


def test_a_container_gets_the_device_nodes_of_its_own_gpus_only() -> None:
    gpus = stand_in_gpus(node="gpu-1", count=2)
    spec = yaml.safe_load(cdi_spec(gpus))
    nodes = {
        device["name"]: [node["path"] for node in device["containerEdits"]["deviceNodes"]] for device in spec["devices"]
    }
    assert spec["kind"] == "nvidia.com/gpu"
    assert nodes == {
        "0": ["/dev/nvidia0"],
        gpus[0].uuid: ["/dev/nvidia0"],
        "1": ["/dev/nvidia1"],
        gpus[1].uuid: ["/dev/nvidia1"],
        "all": ["/dev/nvidia0", "/dev/nvidia1"],
    }


def test_a_container_gets_the_library_and_nvidia_smi_read_only() -> None:
    mounts = yaml.safe_load(cdi_spec(stand_in_gpus(node="gpu-1", count=1)))["containerEdits"]["mounts"]
    assert {mount["containerPath"] for mount in mounts} >= {
        "/usr/bin/nvidia-smi",
        "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
    }
    assert all("ro" in mount["options"] for mount in mounts)


def test_a_node_without_gpus_has_a_valid_specification_of_none() -> None:
    assert yaml.safe_load(cdi_spec([]))["devices"] == []


def test_device_nodes_can_never_reach_a_real_gpu() -> None:
    lines = driver_node_files(stand_in_gpus(node="gpu-1", count=2))[
        "etc/tmpfiles.d/edge-gpu-lab-gpus.conf"
    ].splitlines()
    assert [line.split()[1:] for line in lines if not line.startswith("#")] == [
        [f"/dev/nvidia{index}", "0666", "root", "root", "-", "1:3"] for index in range(2)
    ]


def test_the_container_runtime_is_told_to_use_cdi() -> None:
    files = driver_node_files(stand_in_gpus(node="gpu-1", count=1))
    assert 'mode = "cdi"' in files["etc/nvidia-container-runtime/config.toml"]
