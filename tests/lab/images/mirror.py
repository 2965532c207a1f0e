"""The site mirror that the images are built from: apt, Git, Python and ROS addresses, all on this machine."""

from __future__ import annotations

import functools
import hashlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lab.artifacts.command import run_command
from tests.lab.images.packages import SigningKey, installed_by, write_package, write_repository

IMAGES = Path(__file__).parents[3] / "images"
NITROS_HEADER = "isaac_ros_nitros/gxf/include/gxf/std/parameter_storage.hpp"
NITROS_SOURCE = "isaac_ros_nitros_type/isaac_ros_nitros_image_type/src/nitros_image.cpp"
# What the Dockerfiles install and then run: the bases hold these as they are in Debian.
REAL_PACKAGES = ("ca-certificates", "curl", "git", "git-lfs", "gnupg", "python3-pip", "wget")
_GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "lab", "GIT_AUTHOR_EMAIL": "lab@example.invalid", "GIT_AUTHOR_DATE": "2023-11-14T22:13:20Z",
    "GIT_COMMITTER_NAME": "lab", "GIT_COMMITTER_EMAIL": "lab@example.invalid",
    "GIT_COMMITTER_DATE": "2023-11-14T22:13:20Z",
}  # fmt: skip


@dataclass(frozen=True)
class Mirror:
    """A served mirror.

    Attributes:
        arguments: build arguments with its addresses, by the Dockerfiles' names.
        snapshots: those that take the apt packages from snapshots instead, at the days that the Dockerfiles name.
        repositories: the folder of its Git repositories.
        ubuntu_key: armoured, the key of its Ubuntu and ROS repositories.
        cuda_key: armoured, the key of its CUDA repositories.
    """

    arguments: Mapping[str, str]
    snapshots: Mapping[str, str]
    repositories: Path
    ubuntu_key: str
    cuda_key: str


@contextmanager
def served_mirror(folder: Path, *, address: str, wheels: Path) -> Iterator[Mirror]:
    """Write and serve the mirror while the block runs.

    Args:
        folder: an empty folder with a short path.
        address: of this machine, as build steps reach it.
        wheels: a folder of Python wheels.
    """
    site, repositories = folder / "site", folder / "git"
    site.mkdir()
    keys = {
        name: SigningKey(folder / f"k-{name}", owner=f"stand-in of {name}'s key")
        for name in ("ubuntu", "cuda", "snapshots")
    }
    handler = functools.partial(_Quiet, directory=str(site))
    server = ThreadingHTTPServer((address, 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    web = f"http://{address}:{server.server_port}"
    try:
        _apt(site, keys=keys, scratch=folder / "debs")
        commits = _git(repositories)
        _rosdistro(site)
        _wheels(site / "simple", wheels)
        with _git_daemon(repositories, address=address) as git:
            deb = site / "ros-apt-source" / "1.2.0" / "ros2-apt-source_1.2.0.jammy_all.deb"
            yield Mirror(
                arguments={
                    "UBUNTU_MIRROR": f"{web}/ubuntu",
                    "CUDA_APT_REPOSITORY": f"{web}/cuda",
                    "ROS2_APT_SOURCE_URL": f"{web}/ros-apt-source",
                    "ROS2_APT_SOURCE_SHA256": hashlib.sha256(deb.read_bytes()).hexdigest(),
                    "ROS_APT_REPOSITORY": f"{web}/ros2",
                    "ROSDISTRO_URL": f"{web}/rosdistro",
                    "ROS2_REPOS_URL": f"{web}/ros2-repos",
                    "GITHUB_URL": git,
                    "JETSON_APT_REPOSITORY": f"{web}/jetson",
                    "JETSON_KEY_URL": f"{web}/jetson/key.asc",
                    "NEGOTIATED_COMMIT": commits["osrf/negotiated"],
                    "PIP_INDEX_URL": f"{web}/simple",
                    "PIP_TRUSTED_HOST": f"{address}:{server.server_port}",
                },
                snapshots={
                    "UBUNTU_MIRROR": "",
                    "UBUNTU_SNAPSHOT_URL": f"{web}/ubuntu-snapshots",
                    "ROS_APT_REPOSITORY": "http://packages.ros.org/ros2/ubuntu",
                    "ROS_SNAPSHOT_URL": f"{web}/ros-snapshots",
                    "ROS_SNAPSHOT_KEY_URL": f"{web}/ros-snapshots/key.asc",
                    "ROS_SNAPSHOT_KEY_FINGERPRINT": keys["snapshots"].fingerprint,
                },
                repositories=repositories,
                ubuntu_key=keys["ubuntu"].armored,
                cuda_key=keys["cuda"].armored,
            )
    finally:
        server.shutdown()
        server.server_close()
        for key in keys.values():
            key.end()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _apt(site: Path, *, keys: Mapping[str, SigningKey], scratch: Path) -> None:
    for name in ("ubuntu", "ros", "cuda", "jetson"):
        (scratch / name).mkdir(parents=True)
    names = installed_by(sorted(IMAGES.glob("*/Dockerfile")))
    of_ros = {name for name in names if name.startswith("ros-humble-")}
    of_ros |= {"python3-colcon-common-extensions", "python3-rosdep", "python3-vcstool"}
    ubuntu = [write_package(scratch / "ubuntu", name) for name in sorted(names - of_ros - set(REAL_PACKAGES))]
    # What the packages of the fixtures depend on, by rosdep.
    ubuntu += [write_package(scratch / "ubuntu", name) for name in ("libstand-in-build-dev", "libstand-in-run1")]
    for suite in ("jammy", "focal"):
        write_repository(site / "ubuntu", packages=ubuntu, key=keys["ubuntu"], suite=suite)
    setup = {"opt/ros/humble/setup.bash": "export ROS_STAND_IN=humble\n"}
    ros = [write_package(scratch / "ros", name) for name in sorted(of_ros)]
    ros += [write_package(scratch / "ros", name, files=setup) for name in ("ros-humble-desktop", "ros-humble-ros-base")]
    write_repository(site / "ros2", packages=ros, key=keys["ubuntu"], suite="jammy")
    # As ROS's: snapshots have a key of their own.
    snapshot = site / "ros-snapshots" / "2026-08-07" / "ubuntu"
    write_repository(snapshot, packages=ros, key=keys["snapshots"], suite="jammy")
    (site / "ros-snapshots" / "key.asc").write_text(keys["snapshots"].armored)
    (site / "ubuntu-snapshots").mkdir()
    (site / "ubuntu-snapshots" / "20260807T000000Z").symlink_to(site / "ubuntu")

    # As NVIDIA's: the repository's key is in the keyring package alone.
    public = "https://developer.download.nvidia.com/compute/cuda/repos"
    for release in ("ubuntu2004", "ubuntu2204"):
        signed_by = "[signed-by=/usr/share/keyrings/cuda-archive-keyring.asc]"
        keyring = write_package(
            scratch / "cuda",
            "cuda-keyring",
            version="1.1-1",
            files={
                "usr/share/keyrings/cuda-archive-keyring.asc": keys["cuda"].armored,
                f"etc/apt/sources.list.d/cuda-{release}-x86_64.list": f"deb {signed_by} {public}/{release}/x86_64/ /\n",
            },
        )
        repository = site / "cuda" / release / "x86_64"
        repository.mkdir(parents=True)
        (repository / keyring.name).write_bytes(keyring.read_bytes())
        write_repository(repository, packages=[], key=keys["cuda"])

    jetson = [write_package(scratch / "jetson", name) for name in ("libnvvpi2", "vpi2-dev")]
    write_repository(site / "jetson" / "focal", packages=jetson, key=keys["cuda"], suite="r35.1")
    (site / "jetson" / "key.asc").write_text(keys["cuda"].armored)

    (site / "ros-apt-source" / "1.2.0").mkdir(parents=True)
    source = write_package(
        scratch,
        "ros2-apt-source",
        version="1.2.0",
        files={
            "usr/share/keyrings/ros2-archive-keyring.asc": keys["ubuntu"].armored,
            "etc/apt/sources.list.d/ros2.sources": (
                "Types: deb deb-src\nURIs: http://packages.ros.org/ros2/ubuntu\nSuites: jammy\nComponents: main\n"
                "Signed-By: /usr/share/keyrings/ros2-archive-keyring.asc\n"
            ),
        },
    )
    source.rename(site / "ros-apt-source" / "1.2.0" / "ros2-apt-source_1.2.0.jammy_all.deb")


def _python_package(name: str, *, depends: str = "") -> dict[str, str]:
    """A ROS 2 package that colcon builds with Python alone."""
    return {
        "package.xml": (
            f'<package format="3"><name>{name}</name><version>1.0.0</version><description>stand-in</description>'
            f'<maintainer email="lab@example.invalid">lab</maintainer><license>none</license>{depends}'
            "<export><build_type>ament_python</build_type></export></package>\n"
        ),
        "setup.py": (
            f"from setuptools import setup\nsetup(name='{name}', version='1.0.0', packages=['{name}'], "
            f"data_files=[('share/{name}', ['package.xml']), "
            f"('share/ament_index/resource_index/packages', ['resource/{name}'])])\n"
        ),
        f"resource/{name}": "",
        f"{name}/__init__.py": "",
    }


def _git(folder: Path) -> dict[str, str]:
    depends = "<build_depend>stand_in_build</build_depend><exec_depend>stand_in_run</exec_depend>"
    image_type = _python_package("isaac_ros_nitros_image_type", depends=depends)
    prefix = "isaac_ros_nitros_type/isaac_ros_nitros_image_type"
    repositories = {
        "NVIDIA-ISAAC-ROS/isaac_ros_common": {"README.md": "stand-in\n"},
        "NVIDIA-ISAAC-ROS/isaac_ros_nitros": {
            NITROS_HEADER: "#include <memory>\n#include <shared_mutex>  // NOLINT\n",
            NITROS_SOURCE: '#include "sensor_msgs/sensor_msgs/image_encodings.hpp"\n',
            "isaac_ros_nitros/gxf/lib/libstand_in.so": "stand-in\n",
            **{f"{prefix}/{name}": content for name, content in image_type.items()},
        },
        "osrf/negotiated": _python_package("negotiated"),
        "ros2/demos": _python_package("demo_nodes_py", depends=depends),
    }
    tags = {"ros2/demos": "0.20.3"}
    return {
        name: write_git(folder, name, files, tag=tags.get(name, "v0.20.0-dp")) for name, files in repositories.items()
    }


def write_git(folder: Path, name: str, files: Mapping[str, str], *, tag: str) -> str:
    """A repository with one commit of `files`, tagged; the commit's id. One of that name is replaced."""
    repository = folder / f"{name}.git"
    work = folder / "work" / name
    for path, content in files.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text(content)
    repository.mkdir(parents=True, exist_ok=True)
    run_command(["git", "init", "--quiet", "--bare", repository], env=_GIT, timeout_seconds=30)
    environment = {**_GIT, "GIT_DIR": str(repository), "GIT_WORK_TREE": str(work)}
    for words in (
        ["config", "core.bare", "false"],
        ["config", "uploadpack.allowAnySHA1InWant", "true"],
        ["add", "--all"],
        ["commit", "--quiet", "--allow-empty", "--message", "stand-in"],
        ["tag", "--force", tag],
    ):
        run_command(["git", *words], env=environment, timeout_seconds=30)
    return run_command(["git", "rev-parse", "HEAD"], env=environment, timeout_seconds=30).strip()


@contextmanager
def _git_daemon(folder: Path, *, address: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            "/usr/lib/git-core/git-daemon", "--export-all", f"--base-path={folder}", f"--listen={address}",
            f"--port={port}", "--reuseaddr",
        ],
        env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((address, port)) == 0:
                    break
            time.sleep(0.1)
        yield f"git://{address}:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _rosdistro(site: Path) -> None:
    folder = site / "rosdistro" / "humble" / "2024-10-17"
    (folder / "rosdep").mkdir(parents=True)
    (folder / "humble").mkdir()
    (folder / "index-v4.yaml").write_text(
        "%YAML 1.1\n---\ntype: index\nversion: 4\ndistributions:\n  humble:\n"
        "    distribution: [humble/distribution.yaml]\n"
        "    distribution_status: active\n    distribution_type: ros2\n    python_version: 3\n"
    )
    (folder / "humble" / "distribution.yaml").write_text(
        "%YAML 1.1\n---\ntype: distribution\nversion: 2\nrelease_platforms: {ubuntu: [jammy]}\nrepositories: {}\n"
    )
    (folder / "rosdep" / "base.yaml").write_text(
        "stand_in_build: {ubuntu: [libstand-in-build-dev]}\nstand_in_run: {ubuntu: [libstand-in-run1]}\n"
    )
    for name in ("python", "ruby"):
        (folder / "rosdep" / f"{name}.yaml").write_text(f"{name}-stand-in: {{ubuntu: [libstand-in-run1]}}\n")
    repos = site / "ros2-repos" / "release-humble-20241205"
    repos.mkdir(parents=True)
    (repos / "ros2.repos").write_text(
        "repositories:\n  ros2/demos:\n    type: git\n    url: https://github.com/ros2/demos.git\n    version: 0.20.3\n"
    )


def _wheels(simple: Path, wheels: Path) -> None:
    """A package index: one folder a project, with links."""
    for wheel in sorted(wheels.iterdir()):
        project = wheel.name.split("-")[0].lower().replace("_", "-").replace(".", "-")
        folder = simple / project
        folder.mkdir(parents=True, exist_ok=True)
        (folder / wheel.name).write_bytes(wheel.read_bytes())
    for folder in sorted(simple.iterdir()):
        links = "".join(f'<a href="{path.name}">{path.name}</a>\n' for path in sorted(folder.iterdir()))
        (folder / "index.html").write_text(f"<!DOCTYPE html>\n<html><body>\n{links}</body></html>\n")
