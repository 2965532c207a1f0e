"""The small images that a cluster without a registry needs: pause, and the base of the GPU check."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from lab.artifacts.command import BuildError, require_tool, run_command
from lab.artifacts.debian_package import debian_package
from lab.artifacts.glibc_root import glibc_key, lay_out_glibc
from lab.artifacts.go_module import pinned_module
from lab.artifacts.image_archive import IMAGE_RECIPE, ImageConfig, write_image
from lab.cache import build_once, content_key
from lab.part import Part
from lab.progress import Progress

PAUSE_IMAGE = "docker.io/edge-gpu-lab/pause:3.10.1"
PAUSE_ARCHIVE = "pause.tar"
GPU_CHECK_IMAGE = "docker.io/edge-gpu-lab/gpu-check-base:bookworm"
GPU_CHECK_ARCHIVE = "gpu-check-base.tar"

_RECIPE = Path(__file__)
_KUBERNETES = "github.com/k3s-io/kubernetes"


def build_pause_image(*, progress: Progress) -> Part:
    """The pause image, compiled from Kubernetes' own source; its Part's path is a directory with `pause.tar`.

    Raises:
        BuildError: when a compiler is missing, the source cannot be had, or it is another version than the name says.
    """
    require_tool("gcc", package="gcc and libc6-dev")
    module = pinned_module(_KUBERNETES)
    version = PAUSE_IMAGE.rpartition(":")[2]

    def build(directory: Path) -> None:
        with progress.step("pause: compile and pack the image"):
            source = module.fetch() / "build" / "pause"
            tag = re.search(r"^TAG \?= (\S+)$", (source / "Makefile").read_text(), re.MULTILINE)
            if tag is None or tag[1] != version:
                raise BuildError(
                    f"{source}/Makefile builds pause {tag and tag[1]}, the lab's image name says {version}"
                )
            root = directory / "root"
            root.mkdir()
            run_command(
                [
                    "gcc",
                    "-Os",
                    "-static",
                    "-s",
                    f"-DVERSION=v{version}",
                    "-o",
                    root / "pause",
                    source / "linux" / "pause.c",
                ],
                timeout_seconds=120,
            )
            write_image(
                root=root,
                reference=PAUSE_IMAGE,
                config=ImageConfig(entrypoint=["/pause"]),
                output=directory / PAUSE_ARCHIVE,
            )
            shutil.rmtree(root)

    path = build_once(name="image-pause", key=content_key(_RECIPE, IMAGE_RECIPE, module.sum), build=build)
    return Part(name="image pause", version=version, source=module.source, kind="real", path=path)


def build_gpu_check_image(*, progress: Progress) -> Part:
    """A shell, its usual tools and a whole glibc, for nvidia-smi to run in when CDI injects it.

    Its Part's path is a directory with `gpu-check-base.tar`.

    Raises:
        BuildError: when a Debian package cannot be had.
    """
    busybox = debian_package("busybox-static")
    key = content_key(_RECIPE, IMAGE_RECIPE, glibc_key(), busybox.sha256)

    def build(directory: Path) -> None:
        with progress.step("gpu-check-base: pack the image"):
            root = directory / "root"
            root.mkdir()
            lay_out_glibc(root)
            program = root / "usr" / "bin" / "busybox"
            program.write_bytes((busybox.unpacked() / "bin" / "busybox").read_bytes())
            program.chmod(0o755)
            for applet in run_command([program, "--list"], timeout_seconds=10).split():
                if applet != "busybox":
                    (root / "usr" / "bin" / applet).symlink_to("busybox")
            write_image(
                root=root,
                reference=GPU_CHECK_IMAGE,
                config=ImageConfig(command=["/bin/sh"]),
                output=directory / GPU_CHECK_ARCHIVE,
            )
            shutil.rmtree(root)

    path = build_once(name="image-gpu-check-base", key=key, build=build)
    sources = f"{busybox.source}, {debian_package('libc6').source}"
    version = GPU_CHECK_IMAGE.rpartition(":")[2]
    return Part(name="image gpu-check-base", version=version, source=sources, kind="real", path=path)
