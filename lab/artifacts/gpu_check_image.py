"""The GPU check's image with its CUDA kernel, built without any container engine or container registry."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from lab.artifacts.command import require_tool, run_command
from lab.artifacts.debian_package import debian_package
from lab.artifacts.glibc_root import glibc_key, lay_out_glibc
from lab.artifacts.image_archive import IMAGE_RECIPE, ImageConfig, write_image
from lab.cache import build_once, content_key
from lab.part import Part
from lab.progress import Progress

GPU_CHECK_KERNEL_IMAGE = "docker.io/edge-gpu-lab/gpu-check:cuda-13.0"
GPU_CHECK_KERNEL_ARCHIVE = "gpu-check.tar"
DRIVER_MINIMUM = 580
"""The first branch of CUDA 13, whose compiler builds the kernel here (NVIDIA's CUDA Compatibility guide)."""

_RECIPE = Path(__file__)
_SOURCES = Path(__file__).parents[2] / "images" / "gpu-check"
_REQUIREMENTS = Path(__file__).with_name("cuda_requirements.txt")
# CUDA 13 compiles for Turing and newer; one PTX for whatever comes after the last one.
_ARCHITECTURES = "75 80 86 89 90 100 120"


def build_gpu_check_kernel_image(*, progress: Progress) -> Part:
    """`images/gpu-check` compiled by NVIDIA's compiler from its wheels; its Part's path holds `gpu-check.tar`.

    Args:
        progress: where the steps are said; a minute the first time, most of it the compiler's download (100 MB).

    Raises:
        BuildError: the wheels or a Debian package cannot be had, or the kernel does not compile.
    """
    require_tool("g++", package="g++")
    busybox = debian_package("busybox-static")
    key = content_key(_RECIPE, IMAGE_RECIPE, _REQUIREMENTS, _SOURCES, glibc_key(), busybox.sha256)

    def build(directory: Path) -> None:
        compiler, root = directory / "compiler", directory / "root"
        with progress.step("gpu-check: download NVIDIA's compiler"):
            run_command(
                [
                    sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "--no-compile",
                    "--only-binary=:all:", "--target", compiler, "-r", _REQUIREMENTS,
                ],
                timeout_seconds=900,
            )  # fmt: skip
        with progress.step("gpu-check: compile the kernel"):
            cuda = compiler / "nvidia" / "cu13"
            for folder in ("bin", "nvvm/bin"):
                # The wheels let only their owner execute these.
                for program in (cuda / folder).glob("*"):
                    program.chmod(0o755)
            sources = shutil.copytree(_SOURCES, directory / "sources")
            run_command(
                ["sh", "compile.sh", directory / "programs"],
                cwd=sources,
                env={
                    "PATH": f"{cuda / 'bin'}:/usr/local/bin:/usr/bin:/bin",
                    "NVCC_APPEND_FLAGS": f"-L{cuda / 'lib'}",
                    "CUDA_ARCHITECTURES": _ARCHITECTURES,
                },
                timeout_seconds=600,
            )
        with progress.step("gpu-check: pack the image"):
            root.mkdir()
            lay_out_glibc(root)
            _add_shell(root, busybox.unpacked() / "bin" / "busybox")
            shutil.copytree(directory / "programs", root / "opt" / "gpu-check")
            program = root / "usr" / "local" / "bin" / "gpu-check"
            program.parent.mkdir(parents=True)
            shutil.copyfile(sources / "gpu-check.sh", program)
            program.chmod(0o755)
            write_image(
                root=root,
                reference=GPU_CHECK_KERNEL_IMAGE,
                config=ImageConfig(
                    entrypoint=["/usr/local/bin/gpu-check"],
                    environment={"NVIDIA_DRIVER_CAPABILITIES": "compute,utility"},
                    labels={"edge-gpu.driver.minimum": str(DRIVER_MINIMUM), "vendor": "built by the edge-gpu lab"},
                ),
                output=directory / GPU_CHECK_KERNEL_ARCHIVE,
            )
        for leftover in (compiler, root, sources, directory / "programs"):
            shutil.rmtree(leftover)

    path = build_once(name="image-gpu-check", key=key, build=build)
    source = f"images/gpu-check, compiled by nvidia-cuda-nvcc 13.0; {busybox.source}, {debian_package('libc6').source}"
    version = GPU_CHECK_KERNEL_IMAGE.rpartition(":")[2]
    return Part(name="image gpu-check", version=version, source=source, kind="real", path=path)


def _add_shell(root: Path, busybox: Path) -> None:
    program = root / "usr" / "bin" / "busybox"
    shutil.copyfile(busybox, program)
    program.chmod(0o755)
    for applet in run_command([program, "--list"], timeout_seconds=10).split():
        if applet != "busybox":
            (root / "usr" / "bin" / applet).symlink_to("busybox")


if __name__ == "__main__":
    print(build_gpu_check_kernel_image(progress=Progress()).path / GPU_CHECK_KERNEL_ARCHIVE)
