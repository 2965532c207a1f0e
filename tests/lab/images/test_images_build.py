"""Each Dockerfile is built whole, with every outside address pointed at the mirror; the packages are stand-ins."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from docker.errors import ContainerError

from lab.artifacts.stand_in_driver import StandInGpu
from tests.lab.images import bases
from tests.lab.images.build import FailedBuildError, build
from tests.lab.images.engine import Engine
from tests.lab.images.mirror import IMAGES, NITROS_HEADER, Mirror, write_git

Build = Callable[..., str]


@pytest.fixture(scope="session")
def build_image(engine: Engine, mirror: Mirror) -> Build:
    """Builds an image of the project as `<name>:test`, each argument set once a session."""

    def make(name: str, *, tag: str, context: Path | None = None, target: str | None = None, **arguments: str) -> str:
        folder = context or IMAGES / name
        declared = set(re.findall(r"^ARG (\w+)", (folder / "Dockerfile").read_text(), re.MULTILINE))
        known = {key: value for key, value in mirror.arguments.items() if key in declared}
        return build(engine.client, context=folder, tag=tag, build_args={**known, **arguments}, target=target)

    return make


@pytest.fixture(scope="session")
def cuda_base(build_image: Build) -> str:
    build_image("cuda-base", tag="myros2ubuntu22cuda117:latest")
    return "myros2ubuntu22cuda117:latest"


@pytest.fixture(scope="session")
def ros2_humble(build_image: Build, cuda_base: str) -> str:
    # The base is the Dockerfile's own default: option 2 of the guide, step by step.
    assert f"ARG BASE_IMAGE={cuda_base}" in (IMAGES / "ros2-humble" / "Dockerfile").read_text()
    build_image("ros2-humble", tag="myros2humble:latest")
    return "myros2humble:latest"


def run(engine: Engine, image: str, *command: str, **options: object) -> str:
    """What the command prints in a container without network."""
    output = engine.client.containers.run(
        image,
        list(command),
        remove=True,
        **{"network_mode": "none", **options},  # type: ignore[arg-type]
    )
    text: str = output.decode()
    return text


def test_the_cuda_base_has_user_1000_a_work_folder_and_its_driver_label(engine: Engine, cuda_base: str) -> None:
    assert run(engine, cuda_base, "id", "-u") == "1000\n"
    assert run(engine, cuda_base, "sh", "-c", "cd; pwd; touch /myROS2/x; stat -c %U /myROS2").split() == [
        "/home/admin",
        "admin",
    ]
    image = engine.client.images.get(cuda_base)
    assert image.labels["edge-gpu.driver.minimum"] == "515"
    assert image.labels["edge-gpu-lab.stand-in"] == "true"


def test_the_cuda_base_is_also_built_on_the_modern_base(engine: Engine, build_image: Build) -> None:
    build_image("cuda-base", tag="cuda129:test", BASE_IMAGE=bases.CUDA_MODERN, DRIVER_MINIMUM="575", LOGIN="dev")
    assert run(engine, "cuda129:test", "id", "-un") == "dev\n"
    assert engine.client.images.get("cuda129:test").labels["edge-gpu.driver.minimum"] == "575"


def test_without_mirrors_apt_packages_come_from_the_snapshots_of_one_day(
    engine: Engine, build_image: Build, mirror: Mirror
) -> None:
    of = {
        name: {key: value for key, value in mirror.snapshots.items() if f"ARG {key}=" in text}
        for name in ("cuda-base", "ros2-humble")
        for text in [(IMAGES / name / "Dockerfile").read_text()]
    }
    build_image("cuda-base", tag="cuda-snapshot:test", **of["cuda-base"])
    build_image("ros2-humble", tag="ros-snapshot:test", BASE_IMAGE="cuda-snapshot:test", **of["ros2-humble"])
    sources = run(engine, "ros-snapshot:test", "sh", "-c", "cat /etc/apt/sources.list /etc/apt/sources.list.d/ros2*")
    assert "/ubuntu-snapshots/20260807T000000Z/ jammy" in sources
    assert "/ros-snapshots/2026-08-07/ubuntu jammy main" in sources
    assert "Enabled: no\nTypes:" in sources, "today's packages are not taken beside them"
    assert run(engine, "ros-snapshot:test", "sh", "-c", "echo $ROS_STAND_IN") == "humble\n"

    other = {**of["ros2-humble"], "ROS_SNAPSHOT_KEY_FINGERPRINT": "0" * 40}
    with pytest.raises(FailedBuildError) as refused:
        build_image("ros2-humble", tag="none:test", BASE_IMAGE="cuda-snapshot:test", **other)
    seen = mirror.snapshots["ROS_SNAPSHOT_KEY_FINGERPRINT"]
    assert f"key.asc: expected the key {'0' * 40}, seen {seen}" in str(refused.value)


def test_ros_is_in_the_commands_environment_without_network(engine: Engine, ros2_humble: str) -> None:
    printed = run(engine, ros2_humble, "sh", "-c", "echo $ROS_STAND_IN $ROS_DISTRO; id -u; pwd")
    assert printed.split() == ["humble", "humble", "1000", "/myROS2"]
    assert run(engine, ros2_humble, "sh", "-c", "echo ${ROS_HOME-unset}") == "unset\n", "ROS 2 would log there"
    # rosdep's lists came into the image once, for the user.
    assert "libstand-in-run1" in run(engine, ros2_humble, "rosdep", "resolve", "stand_in_run")


def test_a_workspace_that_is_mounted_and_built_is_sourced_too(engine: Engine, ros2_humble: str, tmp_path: Path) -> None:
    (tmp_path / "install").mkdir()
    (tmp_path / "install" / "setup.bash").write_text("export MINE=$ROS_STAND_IN-mine\n")
    tmp_path.chmod(0o755)
    volumes = {str(tmp_path): {"bind": "/myROS2", "mode": "ro"}}
    assert run(engine, ros2_humble, "sh", "-c", "echo $MINE", volumes=volumes) == "humble-mine\n"


def test_the_entrypoint_passes_arguments_and_exit_code(engine: Engine, ros2_humble: str) -> None:
    assert run(engine, ros2_humble, "printf", "%s|", "a b", "", "$c") == "a b||$c|"
    with pytest.raises(ContainerError) as failed:
        run(engine, ros2_humble, "sh", "-c", "exit 7")
    assert failed.value.exit_status == 7


@pytest.mark.usefixtures("ros2_humble")
def test_nitros_is_built_with_both_edits_and_its_sources_stay_behind(engine: Engine, build_image: Build) -> None:
    printed = build_image("ros2-humble", tag="nitros:test", target="nitros")
    assert f"{NITROS_HEADER}: added <mutex>" in printed
    assert "nitros_image.cpp: includes image_encodings.hpp by its Humble path" in printed
    shown = "import isaac_ros_nitros_image_type; print(isaac_ros_nitros_image_type.__file__)"
    assert run(engine, "nitros:test", "python3", "-c", shown).startswith("/opt/nitros/install/lib/")
    assert run(engine, "nitros:test", "sh", "-c", "ls /opt/nitros; id -u").split() == ["install", "1000"]
    installed = run(engine, "nitros:test", "dpkg-query", "-W", "-f", "${Package}\n")
    assert {"libnvvpi2", "libstand-in-run1"} <= set(installed.split())
    assert not {"vpi2-dev", "libstand-in-build-dev"} & set(installed.split()), "what only the build needs"


@pytest.mark.usefixtures("ros2_humble")
def test_nitros_stops_when_lfs_files_are_pointers(mirror: Mirror, build_image: Build) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    for name, files in (("isaac_ros_nitros", {"gxf/lib/liba.so": pointer}), ("isaac_ros_common", {"README": ""})):
        write_git(mirror.repositories, f"NVIDIA-ISAAC-ROS/{name}", files, tag="v0.20.0-pointers")
    with pytest.raises(FailedBuildError, match=r"ERROR Git LFS files were not fetched.*liba\.so"):
        build_image("ros2-humble", tag="pointers:test", target="nitros", NITROS_TAG="v0.20.0-pointers")


@pytest.mark.usefixtures("ros2_humble")
def test_nitros_stops_when_a_file_to_edit_has_moved(mirror: Mirror, build_image: Build) -> None:
    for name in ("NVIDIA-ISAAC-ROS/isaac_ros_nitros", "NVIDIA-ISAAC-ROS/isaac_ros_common"):
        write_git(mirror.repositories, f"moved/{name}", {"README": ""}, tag="v0.31.0-dp")
    commit = write_git(mirror.repositories, "moved/osrf/negotiated", {"README": ""}, tag="x")
    with pytest.raises(FailedBuildError, match=f"ERROR {NITROS_HEADER}: there is no such file"):
        build_image(
            "ros2-humble",
            tag="moved:test",
            target="nitros",
            NITROS_TAG="v0.31.0-dp",
            GITHUB_URL=f"{mirror.arguments['GITHUB_URL']}/moved",
            NEGOTIATED_COMMIT=commit,
        )


def test_a_wrong_sha256_stops_the_build_says_which_and_leaves_the_tag_alone(
    engine: Engine, build_image: Build, ros2_humble: str
) -> None:
    before = engine.client.images.get(ros2_humble).id
    public = "767884cf4ed03116b9d64438930a832ed854147ae435279a7924dfdf60f94433"
    with pytest.raises(
        FailedBuildError, match=rf"ros2-apt-source_1.2.0.jammy_all.deb: expected sha256 {public}, seen [0-9a-f]{{64}}"
    ):
        build_image("ros2-humble", tag=ros2_humble, ROS2_APT_SOURCE_SHA256=public)
    assert engine.client.images.get(ros2_humble).id == before


def test_triton_renames_the_bases_user_and_installs_past_the_rotated_key(engine: Engine, build_image: Build) -> None:
    build_image("triton", tag="triton-22.03:latest")
    assert run(engine, "triton-22.03:latest", "sh", "-c", "id -un; id -u; cd; pwd").split() == [
        "admin",
        "1000",
        "/home/admin",
    ]
    assert "triton-server" not in run(engine, "triton-22.03:latest", "cat", "/etc/passwd")
    assert engine.client.images.get("triton-22.03:latest").labels["edge-gpu.driver.minimum"] == "510"


def test_without_the_key_step_the_build_fails_as_it_does_on_the_real_base(build_image: Build, tmp_path: Path) -> None:
    shutil.copytree(IMAGES / "triton", tmp_path / "triton")
    (tmp_path / "triton" / "cuda-keyring.sh").write_text("#!/bin/sh\n")
    with pytest.raises(FailedBuildError, match="NO_PUBKEY"):
        build_image("triton", tag="no-key:test", context=tmp_path / "triton")


def test_triton_has_ros_2_built_from_source_when_that_is_asked_for(engine: Engine, build_image: Build) -> None:
    build_image("triton", tag="triton-22.03-ros2:latest", target="ros2-source")
    printed = run(
        engine, "triton-22.03-ros2:latest", "python3", "-c", "import demo_nodes_py; print(demo_nodes_py.__file__)"
    )
    assert printed.startswith("/opt/ros/humble/lib/")
    assert run(engine, "triton-22.03-ros2:latest", "id", "-u") == "1000\n"
    assert "libstand-in-run1" in run(engine, "triton-22.03-ros2:latest", "rosdep", "resolve", "stand_in_run")
    assert run(engine, "triton-22.03-ros2:latest", "ls", "/opt").split() == ["ros", "ros2-tools"], "no sources"
    # The real packages of the lock file, whose hashes were checked.
    versions = run(engine, "triton-22.03-ros2:latest", "pip", "list", "--format", "freeze")
    assert {"empy==3.3.4", "vcstool==0.3.0", "setuptools==65.7.0", "cmake==3.23.3"} <= set(versions.split())
    installed = run(engine, "triton-22.03-ros2:latest", "dpkg-query", "-W", "-f", "${Package}\n").split()
    assert "libstand-in-run1" in installed
    assert "libstand-in-build-dev" not in installed


def test_modern_triton_gets_ros_2_by_apt_on_top(engine: Engine, build_image: Build) -> None:
    build_image(
        "triton",
        tag="triton-24.08:latest",
        BASE_IMAGE=bases.TRITON_MODERN,
        UBUNTU_RELEASE="jammy",
        DRIVER_MINIMUM="560",
    )
    build_image(
        "ros2-humble",
        tag="triton-24.08-ros2:latest",
        BASE_IMAGE="triton-24.08:latest",
        ROS_PACKAGE="ros-humble-ros-base",
    )
    assert run(engine, "triton-24.08-ros2:latest", "sh", "-c", "echo $ROS_STAND_IN; id -un").split() == [
        "humble",
        "admin",
    ]
    assert engine.client.images.get("triton-24.08-ros2:latest").labels["edge-gpu.driver.minimum"] == "560"


def test_the_gpu_check_sees_the_gpus_of_its_container(
    engine: Engine, build_image: Build, gpus: list[StandInGpu]
) -> None:
    build_image("gpu-check", tag="edge-gpu-check:latest")
    printed = run(
        engine, "edge-gpu-check:latest", runtime="nvidia",
        environment={"NVIDIA_VISIBLE_DEVICES": "all", "EXPECTED_GPUS": "2"},
    )  # fmt: skip
    lines = printed.splitlines()
    assert lines[-1] == " ".join(gpu.uuid for gpu in gpus)
    assert lines[0].startswith(f"0 {gpus[0].uuid} ")
    assert "name=STAND-IN, no kernel was run" in printed, "the compiler was a stand-in, and its program says so"
    assert run(engine, "edge-gpu-check:latest", "-u", entrypoint="id") == "1000\n"


def test_the_gpu_check_fails_without_gpus_and_with_a_wrong_number(engine: Engine, build_image: Build) -> None:
    build_image("gpu-check", tag="edge-gpu-check:latest")
    with pytest.raises(ContainerError, match="is the container started with the nvidia runtime"):
        run(engine, "edge-gpu-check:latest")
    with pytest.raises(ContainerError, match="expected 3 GPUs, seen 2"):
        run(
            engine, "edge-gpu-check:latest", runtime="nvidia",
            environment={"NVIDIA_VISIBLE_DEVICES": "all", "EXPECTED_GPUS": "3"},
        )  # fmt: skip


def test_the_plain_gpu_check_needs_no_cuda_image(engine: Engine, build_image: Build, gpus: list[StandInGpu]) -> None:
    build_image("gpu-check", tag="plain:test", target="plain", CUDA_IMAGE="registry.invalid/nothing:1")
    printed = run(engine, "plain:test", runtime="nvidia", environment={"NVIDIA_VISIBLE_DEVICES": gpus[1].uuid})
    assert printed.splitlines() == ["plain mode: no CUDA kernel was run", gpus[1].uuid]


def test_the_final_gpu_check_holds_no_compiler(engine: Engine, build_image: Build) -> None:
    build_image("gpu-check", tag="edge-gpu-check:latest")
    assert run(engine, "edge-gpu-check:latest", "-c", "command -v nvcc || echo none", entrypoint="sh") == "none\n"
