"""From the fleet file's `images` section to the stack `edge-images`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from constructs_lib import cdk
from constructs_lib.testing import only, resources, synth
from stacks.edge_images import EdgeImagesStack
from stacks.fleet import HttpBackendSettings, Images, LocalBackendSettings, PgBackendSettings, S3BackendSettings
from stacks.images_backend import images_backend
from tests.synth.conftest import host

IMAGES = Path(__file__).parents[2] / "images"


def stack_of(*build: dict[str, Any], **settings: Any) -> EdgeImagesStack:
    images = Images.model_validate({"build": list(build), "allow_unlocked_bases": True, **settings})
    return EdgeImagesStack(
        cdk.Testing.app(),
        "edge-images",
        images=images,
        hosts={"gpu-1": host("192.0.2.11"), "gpu-2": host("192.0.2.12")},
        backend=LocalBackendSettings(type="local"),
        images_folder=IMAGES,
        edge_folder=Path("/project/.edge/site"),
    )


def names(stack: EdgeImagesStack) -> set[str]:
    return {block["name"].partition(":")[0] for block in resources(synth(stack), "docker_image").values()}


def test_each_choice_brings_the_bases_it_needs_and_a_shared_base_is_built_once() -> None:
    stack = stack_of(
        {"image": "triton"},
        {"image": "triton", "variant": "22.03"},
        {"image": "ros2-humble", "variant": "11.7", "nitros": True},
        {"image": "cuda-base", "variant": "11.7"},
        {"image": "gpu-check", "kernel": False},
    )
    assert names(stack) == {
        "triton-24.08", "triton-24.08-ros2", "triton-22.03-ros2", "myros2ubuntu22cuda117", "myros2humble",
        "edge-gpu-check",
    }  # fmt: skip


def test_triton_without_ros_is_triton_alone() -> None:
    assert names(stack_of({"image": "triton", "ros2": False})) == {"triton-24.08"}


def test_platform_registry_mirrors_and_engine_reach_every_image() -> None:
    configuration = synth(
        stack_of(
            {"image": "ros2-humble"},
            platform="linux/amd64",
            registry="registry.example:5000/edge",
            network="host",
            docker_host="ssh://edge@builder",
            registry_mirrors={"nvcr.io": "mirror.example:5000"},
            mirrors={
                "UBUNTU_MIRROR": "http://mirror.example/ubuntu",
                "ROS_APT_REPOSITORY": "http://mirror.example/ros",
            },
            build_timeout_minutes=30,
        )
    )
    assert configuration["provider"]["docker"] == [{"host": "ssh://edge@builder"}]
    blocks = {block["name"].partition(":")[0]: block for block in resources(configuration, "docker_image").values()}
    for block in blocks.values():
        assert block["build"]["platform"] == "linux/amd64"
        assert block["build"]["network_mode"] == "host"
        assert block["timeouts"] == {"create": "30m"}
    base, child = (blocks[name]["build"]["build_args"] for name in ("myros2ubuntu22cuda129", "myros2humble"))
    assert base["BASE_IMAGE"] == "mirror.example:5000/nvidia/cuda:12.9.2-devel-ubuntu22.04"
    assert base["UBUNTU_MIRROR"] == "http://mirror.example/ubuntu"
    assert "ROS_APT_REPOSITORY" not in base
    assert child["ROS_APT_REPOSITORY"] == "http://mirror.example/ros"
    assert len(resources(configuration, "docker_registry_image")) == 2


def test_only_the_named_nodes_get_an_image() -> None:
    stack = stack_of({"image": "ros2-humble", "hand_over_to": ["gpu-2"]}, docker_host="unix:///run/other.sock")
    steps = resources(synth(stack), "terraform_data").values()
    assert {
        step["connection"]["host"]
        for step in steps
        if "image" in step.get("triggers_replace", {}) and "connection" in step
    } == {"192.0.2.12"}
    (saved,) = (step for step in steps if "archive" in step.get("triggers_replace", {}))
    environment = saved["provisioner"][0]["local-exec"]["environment"]
    assert environment["ARCHIVE"] == "/project/.edge/site/images/myros2humble.tar"
    assert environment["DOCKER_HOST"] == "unix:///run/other.sock"


def test_the_state_lies_beside_the_clusters() -> None:
    backend = synth(stack_of({"image": "cuda-base"}))["terraform"]["backend"]
    assert backend == {"local": {"path": "/project/.edge/site/images/terraform.tfstate"}}
    s3 = S3BackendSettings(type="s3", bucket="abc", key="edge/site.tfstate", region="eu-central-1")
    assert images_backend(s3) == s3.model_copy(update={"key": "edge/site-images.tfstate"})
    pg = PgBackendSettings(type="pg")
    assert images_backend(pg) == pg.model_copy(update={"schema_name": "terraform_remote_state_images"})
    http = HttpBackendSettings(
        type="http",
        address="https://x/state",
        lock_address="https://x/state/lock",
        unlock_address="https://x/state/lock",
    )
    moved = images_backend(http)
    assert isinstance(moved, HttpBackendSettings)
    assert (moved.address, moved.lock_address) == ("https://x/state-images", "https://x/state-images/lock")
    with pytest.raises(ValueError, match="lock_address 'https://y/lock' does not begin with"):
        images_backend(http.model_copy(update={"lock_address": "https://y/lock"}))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ([{"image": "ros2-humble", "nitros": True}], r"images.build\[0\]: nitros needs variant '11.7', got '12.9'"),
        ([{"image": "gpu-check"}, {"image": "gpu-check", "kernel": False}], "gpu-check is listed twice"),
        ([{"image": "ros2-humble"}, {"image": "ros2-humble", "variant": "11.7"}], "myros2humble is built twice"),
        ([{"image": "cuda-base", "hand_over_to": ["gpu-9"]}], "no node 'gpu-9'; there are gpu-1, gpu-2"),
    ],
)
def test_what_cannot_be_built_or_handed_over_is_refused(build: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stack_of(*build)


@pytest.mark.parametrize(
    "section",
    [
        {"build": []},
        {"build": [{"image": "cuda"}]},
        {"build": [{"image": "triton", "variant": "23.01"}]},
        {"build": [{"image": "cuda-base"}], "registry": "https://registry.example"},
        {"build": [{"image": "cuda-base"}], "platform": "linux/arm"},
        {"build": [{"image": "cuda-base", "nitros": True}]},
        {"build": [{"image": "cuda-base"}], "unknown": 1},
    ],
)
def test_a_section_with_a_mistake_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Images.model_validate(section)


def test_the_output_names_each_image_as_a_pod_does() -> None:
    configuration = synth(stack_of({"image": "cuda-base"}))
    value = only({"resource": {"output": configuration["output"]}}, "output")["value"]
    block = only(configuration, "docker_image")
    assert value["myros2ubuntu22cuda129"]["image"] == block["name"]
