"""What images, their hand-over to nodes and GPU containers synthesize to."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from constructs_lib.cdk import TerraformStack
from constructs_lib.container_image import ContainerImage
from constructs_lib.cuda_base_image import CudaBaseImage
from constructs_lib.docker_providers import DockerProvider
from constructs_lib.gpu_check_image import GpuCheckImage
from constructs_lib.gpu_container import Desk, GpuContainer, detected_desk
from constructs_lib.image_handover import ImageHandover
from constructs_lib.image_variants import ImageSettings
from constructs_lib.ros2_humble_image import Ros2HumbleImage
from constructs_lib.testing import assert_contains, new_stack, only, resources, synth
from constructs_lib.triton_image import TritonImage
from tests.synth.conftest import HOST_KEY, host

IMAGES = Path(__file__).parents[2] / "images"
DIGEST = "sha256:" + "c" * 64


@pytest.fixture
def stack() -> TerraformStack:
    stack = new_stack()
    DockerProvider(stack, "docker")
    return stack


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("ARG BASE_IMAGE=x\nFROM ${BASE_IMAGE}\nCOPY file /\n")
    (folder / "file").write_text("1")
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> ImageSettings:
    """The project's images with a lock file whose digests are known."""
    folder = tmp_path / "images"
    subprocess.run(["cp", "-r", IMAGES, folder], check=True)
    lock = folder / "bases.lock.toml"
    lock.write_text(lock.read_text().replace('digest = ""', f'digest = "{DIGEST}"'))
    return ImageSettings(folder=folder, mirrors={"UBUNTU_MIRROR": "http://mirror.example/ubuntu", "OTHER": "x"})


def image_blocks(stack: TerraformStack) -> dict[str, Any]:
    """The docker_image resources by image name without tag."""
    return {block["name"].partition(":")[0]: block for block in resources(synth(stack), "docker_image").values()}


def test_an_image_is_built_from_absolute_paths_within_two_hours_under_its_content_tag(
    stack: TerraformStack, context: Path
) -> None:
    image = ContainerImage(stack, "image", repository="mine", context=context, target="last", platform="linux/amd64")
    block = only(synth(stack), "docker_image")
    tag = image.content_hash[:12]
    assert_contains(
        block,
        {
            "name": f"mine:{tag}",
            "keep_locally": True,
            "triggers": {"content": image.content_hash},
            "timeouts": {"create": "120m"},
            "lifecycle": {"create_before_destroy": True},
            "build": {
                "context": str(context),
                "dockerfile": f"{context}/Dockerfile",
                "target": "last",
                "platform": "linux/amd64",
                "tag": ["mine:latest"],
                "label": {"edge-gpu.content": image.content_hash},
            },
        },
    )


def test_equal_input_gives_the_same_configuration_and_one_edited_file_another_tag(context: Path) -> None:
    def configuration() -> dict[str, Any]:
        stack = new_stack()
        DockerProvider(stack, "docker")
        ContainerImage(stack, "image", repository="mine", context=context)
        return synth(stack)

    before = configuration()
    assert configuration() == before
    (context / "file").write_text("2")
    after = configuration()
    assert only(after, "docker_image")["name"] != only(before, "docker_image")["name"]


def test_a_child_is_built_on_its_bases_content_tag_and_rebuilt_with_its_id(
    stack: TerraformStack, context: Path
) -> None:
    base = ContainerImage(stack, "base", repository="base", context=context, driver_minimum=515)
    child = ContainerImage(stack, "child", repository="child", context=context, base=base)
    blocks = image_blocks(stack)
    assert blocks["child"]["build"]["build_args"] == {"BASE_IMAGE": base.name}
    assert (
        blocks["child"]["triggers"]["base"]
        == "${docker_image.base_image_" + base.image.friendly_unique_id.split("_")[-1] + ".image_id}"
    )
    assert child.driver_minimum == 515


def test_editing_one_chain_leaves_the_other_as_it_is(settings: ImageSettings) -> None:
    def names() -> dict[str, str]:
        stack = new_stack()
        DockerProvider(stack, "docker")
        base = CudaBaseImage(stack, "base", settings=settings, version="11.7")
        Ros2HumbleImage(stack, "ros2", settings=settings, base=base)
        TritonImage(stack, "triton", settings=settings)
        return {block["name"].partition(":")[0]: block["name"] for block in image_blocks(stack).values()}

    before = names()
    edited = settings.folder / "cuda-base" / "use-mirrors.sh"
    edited.write_text(edited.read_text() + "# edited\n")
    after = names()
    changed = {name for name, full in after.items() if full != before[name]}
    assert changed == {"myros2ubuntu22cuda117", "myros2humble"}
    (settings.folder / "README.md").write_text("no image is made of this\n")
    assert names() == after


def test_a_pushed_image_has_the_registrys_name_too_and_is_pushed_when_it_was_built(
    stack: TerraformStack, context: Path
) -> None:
    image = ContainerImage(stack, "image", repository="mine", context=context, registry="registry.example:5000/edge/")
    configuration = synth(stack)
    pushed = only(configuration, "docker_registry_image")
    assert image.pushed_name == f"registry.example:5000/edge/{image.name}"
    assert_contains(pushed, {"name": image.pushed_name, "keep_remotely": True})
    assert pushed["triggers"]["image"].endswith(".image_id}")
    assert pushed["depends_on"] == [f"docker_image.{image.image.friendly_unique_id}"]
    assert only(configuration, "docker_image")["build"]["tag"] == ["mine:latest", image.pushed_name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"repository": "Mine"}, "repository 'Mine' is no image name without tag"),
        ({"repository": "mine:1"}, "repository 'mine:1' is no image name without tag"),
        ({"context": Path("images")}, "folder must be absolute"),
    ],
)
def test_a_name_or_path_that_would_fail_later_is_refused(
    stack: TerraformStack, context: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ContainerImage(stack, "image", **{"repository": "mine", "context": context, **arguments})


def test_a_base_given_twice_is_refused(stack: TerraformStack, context: Path) -> None:
    base = ContainerImage(stack, "base", repository="base", context=context)
    with pytest.raises(ValueError, match="BASE_IMAGE is given twice"):
        ContainerImage(
            stack, "child", repository="child", context=context, base=base, build_args={"BASE_IMAGE": "other:1"}
        )


def test_the_projects_images_are_built_on_locked_bases_and_get_the_mirrors_they_know(
    stack: TerraformStack, settings: ImageSettings
) -> None:
    base = CudaBaseImage(stack, "base", settings=settings, version="11.7")
    Ros2HumbleImage(stack, "ros2", settings=settings, base=base, nitros=True)
    TritonImage(stack, "triton", settings=settings, release="22.03", ros2_from_source=True)
    GpuCheckImage(stack, "check", settings=settings)
    blocks = image_blocks(stack)
    assert sorted(blocks) == ["edge-gpu-check", "myros2humble", "myros2ubuntu22cuda117", "triton-22.03-ros2"]
    assert_contains(
        blocks["myros2ubuntu22cuda117"]["build"],
        {
            "build_args": {
                "BASE_IMAGE": f"docker.io/nvidia/cuda:11.7.1-devel-ubuntu22.04@{DIGEST}",
                "UBUNTU_MIRROR": "http://mirror.example/ubuntu",
            },
            "tag": ["myros2ubuntu22cuda117:latest"],
            "label": {"edge-gpu.driver.minimum": "515"},
        },
    )
    assert blocks["myros2humble"]["build"]["tag"] == ["myros2humble:latest"]
    assert blocks["myros2humble"]["build"]["target"] == "nitros"
    assert set(blocks["myros2humble"]["build"]["build_args"]) == {"BASE_IMAGE", "ROS_PACKAGE"}
    triton = blocks["triton-22.03-ros2"]["build"]
    assert triton["target"] == "ros2-source"
    assert triton["label"]["edge-gpu.driver.minimum"] == "510"
    assert triton["build_args"]["UBUNTU_RELEASE"] == "focal"
    assert blocks["edge-gpu-check"]["build"]["build_args"]["CUDA_IMAGE"].endswith(f"-devel-ubuntu22.04@{DIGEST}")


def test_an_unlocked_base_is_refused_and_when_allowed_it_is_said_loudly(
    stack: TerraformStack, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=r"has no digest .*\n  fix: python -m stacks.lock_bases cuda-12.9"):
        CudaBaseImage(stack, "base", settings=ImageSettings(folder=IMAGES))
    CudaBaseImage(stack, "other", settings=ImageSettings(folder=IMAGES, allow_unlocked_bases=True))
    assert "WARNING base cuda-12.9: UNLOCKED, nvcr.io/nvidia/cuda:12.9.2" in capsys.readouterr().err


def test_impossible_variants_are_refused(stack: TerraformStack, settings: ImageSettings) -> None:
    with pytest.raises(ValueError, match=r"variant '10.0' is unknown; there are 11.7, 12.9"):
        CudaBaseImage(stack, "base", settings=settings, version="10.0")
    with pytest.raises(ValueError, match=r"ros2_from_source is for Triton 22\.03"):
        TritonImage(stack, "triton", settings=settings, ros2_from_source=True)


def test_an_image_is_saved_once_and_uploaded_to_each_node_only_when_its_id_changes(
    stack: TerraformStack, context: Path
) -> None:
    image = ContainerImage(stack, "image", repository="mine", context=context)
    hosts = {"gpu-1": host("192.0.2.11"), "gpu-2": host("192.0.2.12")}
    ImageHandover(stack, "hand-over", image=image, hosts=hosts, archive_folder=Path("/edge/images"))
    steps = resources(synth(stack), "terraform_data")
    (saved,) = (name for name in steps if "saved" in name)
    (save,) = steps[saved]["provisioner"]
    id_ = f"${{docker_image.{image.image.friendly_unique_id}.image_id}}"
    assert save["local-exec"]["environment"] == {
        "IMAGE": image.name,
        "IMAGE_ID": id_,
        "ARCHIVE": "/edge/images/mine.tar",
    }
    assert "${" not in save["local-exec"]["command"].replace("$${", "")
    uploads = {name: step for name, step in steps.items() if "image-mine" in name}
    assert len(uploads) == 2
    for step in uploads.values():
        assert step["depends_on"] == [f"terraform_data.{saved}"]
        assert step["triggers_replace"]["image"] == id_
        assert step["triggers_replace"]["host_key"] == HOST_KEY
        files = [entry["file"] for entry in step["provisioner"] if "file" in entry]
        assert [file.get("source") for file in files] == [None, "/edge/images/mine.tar", "/edge/images/mine.tar.sha256"]


def test_a_hand_over_to_no_node_is_refused(stack: TerraformStack, context: Path) -> None:
    image = ContainerImage(stack, "image", repository="mine", context=context)
    with pytest.raises(ValueError, match="no hosts to hand mine:"):
        ImageHandover(stack, "none", image=image, hosts={}, archive_folder=Path("/edge"))
    with pytest.raises(ValueError, match="archive_folder must be absolute"):
        ImageHandover(stack, "relative", image=image, hosts={"a": host()}, archive_folder=Path("edge"))


def test_a_gpu_container_has_the_gpus_the_folder_and_no_more_rights(stack: TerraformStack) -> None:
    GpuContainer(stack, "shell", name="shell", image="myros2humble:1", folder=Path("/home/me/ws"), desk=Desk())
    block = only(synth(stack), "docker_container")
    assert_contains(
        block,
        {
            "image": "myros2humble:1",
            "runtime": "nvidia",
            "env": ["NVIDIA_DRIVER_CAPABILITIES=all", "NVIDIA_VISIBLE_DEVICES=all"],
            "mounts": [{"type": "bind", "source": "/home/me/ws", "target": "/myROS2"}],
            "working_dir": "/myROS2",
            "security_opts": ["no-new-privileges"],
            "labels": [{"label": "edge-gpu.container", "value": "shell"}],
        },
    )
    assert not {"privileged", "network_mode", "devices", "group_add", "hostname"} & set(block)


def test_a_gpu_container_of_a_built_image_is_replaced_with_it(stack: TerraformStack, context: Path) -> None:
    image = ContainerImage(stack, "image", repository="mine", context=context)
    GpuContainer(stack, "shell", name="shell", image=image, desk=Desk(), host_network=True)
    block = only(synth(stack), "docker_container")
    assert block["image"] == f"${{docker_image.{image.image.friendly_unique_id}.image_id}}"
    assert block["mounts"][0]["source"] == str(Path.cwd())
    assert block["network_mode"] == "host"


def test_a_changed_gpu_container_starts_before_the_old_one_goes_so_they_have_two_names(
    context: Path,
) -> None:
    generations = []
    for gpus in ("all", "all", "0"):
        stack = new_stack()
        DockerProvider(stack, "docker")
        image = ContainerImage(stack, "image", repository="mine", context=context)
        GpuContainer(stack, "shell", name="shell", image=image, desk=Desk(), gpus=gpus)
        made = synth(stack)
        block = only(made, "docker_container")
        ((address, generation),) = resources(made, "terraform_data").items()
        assert block["lifecycle"] == generation["lifecycle"] == {"create_before_destroy": True}
        assert block["name"] == f"shell-${{substr(terraform_data.{address}.id, 0, 8)}}"
        assert generation["triggers_replace"]["image"] == block["image"]
        assert "provisioner" not in generation, "an empty one is no Terraform"
        generations.append(generation["triggers_replace"])
    assert generations[0] == generations[1]
    assert generations[0] != generations[2]


def test_a_display_brings_its_one_socket_and_cookie_read_only(stack: TerraformStack, tmp_path: Path) -> None:
    (tmp_path / "X1").write_text("")
    (tmp_path / "cookie").write_text("")
    environment = {"DISPLAY": ":1.0", "XAUTHORITY": str(tmp_path / "cookie")}
    desk = detected_desk(environment=environment, device_folder=tmp_path, socket_folder=tmp_path)
    GpuContainer(stack, "shell", name="shell", image="i:1", folder=Path("/ws"), desk=desk)
    block = only(synth(stack), "docker_container")
    assert block["mounts"][1:] == [
        {"type": "bind", "source": f"{tmp_path}/X1", "target": f"{tmp_path}/X1", "read_only": True},
        {"type": "bind", "source": f"{tmp_path}/cookie", "target": "/run/x-authority", "read_only": True},
    ]
    assert "DISPLAY=:1.0" in block["env"]


@pytest.mark.parametrize("display", ["", "localhost:10.0", ":7", "nonsense"])
def test_without_a_socket_there_is_no_display(tmp_path: Path, display: str) -> None:
    (tmp_path / "X10").write_text("")
    found = detected_desk(environment={"DISPLAY": display}, device_folder=tmp_path, socket_folder=tmp_path)
    assert found == Desk()


def test_only_device_files_are_devices(tmp_path: Path) -> None:
    (tmp_path / "video0").write_text("no device")
    (tmp_path / "ttyUSB0").symlink_to("/dev/null")
    found = detected_desk(environment={}, device_folder=tmp_path, socket_folder=tmp_path)
    assert found.devices == (f"{tmp_path}/ttyUSB0",)
