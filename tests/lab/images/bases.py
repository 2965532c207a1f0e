"""Stand-ins of the images that ours are built on: Debian under their names, with what the Dockerfiles rely on."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.artifacts.command import run_command
from lab.artifacts.node_root import ROOT_ARCHIVE, build_node_root
from lab.cache import build_once, content_key
from lab.progress import Progress
from tests.lab.images.build import build
from tests.lab.images.engine import GATEWAY, Engine
from tests.lab.images.forward_proxy import forward_proxy
from tests.lab.images.mirror import IMAGES, REAL_PACKAGES, Mirror

TRITON = "nvcr.io/nvidia/tritonserver:22.03-py3"
TRITON_MODERN = "nvcr.io/nvidia/tritonserver:24.08-py3"
CUDA = "docker.io/nvidia/cuda:11.7.1-devel-ubuntu22.04"
CUDA_MODERN = "nvcr.io/nvidia/cuda:12.9.2-devel-ubuntu22.04"
UBUNTU = "docker.io/library/ubuntu:22.04"

_TOOLS = "edge-gpu-lab/stand-in-tools:1"
_ROS_TOOLS = "edge-gpu-lab/stand-in-ros-tools:1"
# Real ones: what the Dockerfiles run. Of the other packages their names are enough.
_TOOLS_DOCKERFILE = f"""\
ARG BASE_IMAGE
FROM ${{BASE_IMAGE}}
RUN rm -f /etc/dpkg/dpkg.cfg.d/edge-gpu-lab && apt-get -q update && \
    DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends \
    gcc libc6-dev {" ".join(REAL_PACKAGES)} && rm -rf /var/lib/apt/lists/* && rm -f /etc/apt/sources.list
ENV PIP_BREAK_SYSTEM_PACKAGES=1
"""
# What ROS 2's apt packages would bring, from the locked wheels.
_ROS_TOOLS_DOCKERFILE = f"""\
FROM {_TOOLS}
COPY . /tmp/wheels
RUN pip install --quiet --no-index --find-links /tmp/wheels --no-build-isolation \\
    rosdep colcon-common-extensions vcstool catkin_pkg 'empy<4' lark && rm -rf /tmp/wheels
"""
_BASE_DOCKERFILE = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY . /tmp/base
RUN cp -r /tmp/base/root/. / && rm -f /etc/os-release && cp /tmp/base/os-release /etc/os-release \
    && sh /tmp/base/prepare.sh && rm -rf /tmp/base
LABEL edge-gpu-lab.stand-in="true"
"""
_NVCC = """\
#!/bin/sh
# Stand-in of nvcc: what it makes says that no kernel was run.
[ "$1" ] || exit 1
# As CUDA 13's: without 60 and 70.
if [ "$1" = --list-gpu-arch ]; then
    for number in 75 80 86 87 88 89 90 100; do echo "compute_$number"; done
    exit 0
fi
case " $* " in *compute_[67][0,]*) echo "nvcc stand-in: Unsupported gpu architecture" >&2; exit 1 ;; esac
while [ $# -gt 1 ]; do
    if [ "$1" = -o ]; then output=$2; fi
    shift
done
[ -f "$1" ] || { echo "nvcc stand-in: no source $1" >&2; exit 1; }
cat >"$output" <<'TEXT'
#!/bin/sh
for device in /dev/nvidia[0-9]*; do
    [ -e "$device" ] && echo "PASS gpu=${device#/dev/nvidia} name=STAND-IN, no kernel was run"
done
TEXT
chmod 0755 "$output"
"""


def make_bases(engine: Engine, *, mirror: Mirror, wheels: Path, folder: Path) -> None:
    """Make every base of the lock file in an engine.

    Args:
        engine: the engine.
        mirror: whose keys the bases trust.
        wheels: Python wheels with rosdep, colcon and vcstool, which ROS 2's apt packages would bring.
        folder: an empty folder.
    """
    client = engine.client
    with (_tools(engine, wheels) / "tools.tar").open("rb") as stream:
        client.images.load(stream)
    nothing = "true\n"
    # NVIDIA's images hold a user 1000, and 22.03 a CUDA key that is no longer in use: here none.
    user = "useradd --uid 1000 --create-home triton-server\n"
    cuda_list = "deb https://developer.download.nvidia.com/compute/cuda/repos/{}/x86_64 /\n"
    for reference, release, tools, cuda, prepare in (
        (TRITON, "20.04 focal", _TOOLS, cuda_list.format("ubuntu2004"), user),
        (TRITON_MODERN, "22.04 jammy", _ROS_TOOLS, cuda_list.format("ubuntu2204"), user),
        (CUDA, "22.04 jammy", _ROS_TOOLS, cuda_list.format("ubuntu2204"), nothing),
        (CUDA_MODERN, "22.04 jammy", _ROS_TOOLS, cuda_list.format("ubuntu2204"), nothing),
        (UBUNTU, "22.04 jammy", _TOOLS, "", nothing),
    ):
        version, codename = release.split()
        context = folder / reference.replace("/", "-").replace(":", "-")
        root = context / "root"
        apt = root / "etc" / "apt"
        (apt / "trusted.gpg.d").mkdir(parents=True)
        (apt / "sources.list.d").mkdir()
        (apt / "sources.list").write_text(f"deb http://security.ubuntu.com/ubuntu/ {codename} main\n")
        (apt / "trusted.gpg.d" / "ubuntu.asc").write_text(mirror.ubuntu_key)
        if cuda:
            (apt / "sources.list.d" / "cuda.list").write_text(cuda)
        if reference in (CUDA, CUDA_MODERN):
            (apt / "trusted.gpg.d" / "cuda-in-use.asc").write_text(mirror.cuda_key)
            nvcc = root / "usr" / "local" / "bin" / "nvcc"
            nvcc.parent.mkdir(parents=True)
            nvcc.write_text(_NVCC)
            nvcc.chmod(0o755)
        (context / "os-release").write_text(
            f'ID=ubuntu\nID_LIKE=debian\nNAME="Ubuntu"\nVERSION_ID="{version}"\nVERSION_CODENAME={codename}\n'
            f'VERSION="{version} ({codename})"\nUBUNTU_CODENAME={codename}\n'
            f'PRETTY_NAME="Ubuntu {version} STAND-IN (Debian)"\n'
        )
        (context / "prepare.sh").write_text(f"set -eu\n{prepare}")
        (context / "Dockerfile").write_text(_BASE_DOCKERFILE)
        tag = reference.removeprefix("docker.io/library/")
        build(client, context=context, tag=tag, build_args={"BASE_IMAGE": tools})


def _tools(engine: Engine, wheels: Path) -> Path:
    client = engine.client
    root = build_node_root(progress=Progress()).path / ROOT_ARCHIVE

    def make(directory: Path) -> None:
        client.api.import_image_from_file(str(root), repository="edge-gpu-lab/stand-in-root", tag="1")
        context = directory / "context"
        context.mkdir()
        (context / "Dockerfile").write_text(_TOOLS_DOCKERFILE)
        arguments = {"BASE_IMAGE": "edge-gpu-lab/stand-in-root:1"}
        # The one step that needs the package registry, and the engine's network ends at this machine.
        with forward_proxy(GATEWAY) as proxy:
            arguments["http_proxy"] = proxy
            build(client, context=context, tag=_TOOLS, build_args=arguments, timeout_seconds=900)
        shutil.rmtree(context)
        shutil.copytree(wheels, context)
        (context / "Dockerfile").write_text(_ROS_TOOLS_DOCKERFILE)
        build(client, context=context, tag=_ROS_TOOLS)
        shutil.rmtree(context)
        # Both in one archive: their layers are shared.
        save = ["docker", "--host", engine.host, "save", "--output", directory / "tools.tar", _TOOLS, _ROS_TOOLS]
        run_command(save, timeout_seconds=300)

    key = content_key(str(root), str(wheels), _TOOLS_DOCKERFILE, _ROS_TOOLS_DOCKERFILE)
    return build_once(name="image-stand-in-tools", key=key, build=make)


def download_wheels() -> Path:
    """The locked Python packages of the Triton image, downloaded once by pip; all are real, their hashes checked."""
    lock = IMAGES / "triton" / "requirements.lock"

    def make(directory: Path) -> None:
        pip = ["python3", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", directory]
        run_command([*pip, "--require-hashes", "--requirement", lock], timeout_seconds=600)
        # What pip builds the one package without a wheel with.
        run_command([*pip, "wheel==0.45.1"], timeout_seconds=120)

    return build_once(name="image-wheels", key=content_key("1", lock), build=make)
