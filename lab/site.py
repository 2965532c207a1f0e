"""What the site mirror serves: every artifact built and laid out as the public places have it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.artifacts import base_images, device_plugin, k3s
from lab.artifacts.apt_repository import PUBLIC_KEY, build_apt_repository
from lab.artifacts.command import BuildError, end_running_commands, run_command
from lab.artifacts.container_toolkit import TOOLKIT_VERSION, build_container_toolkit
from lab.cache import build_once, content_key, file_sha256
from lab.part import Part
from lab.progress import Progress

_RECIPE = Path(__file__)
_IMAGES = (base_images.PAUSE_ARCHIVE, device_plugin.DEVICE_PLUGIN_ARCHIVE, base_images.GPU_CHECK_ARCHIVE)


@dataclass(frozen=True)
class ImageArchive:
    """One image tar of the site.

    Attributes:
        path: from the site's root, e.g. "images/pause.tar"; `<path>.sha256` lies beside it.
        sha256: of the tar, 64 hex digits.
    """

    path: str
    sha256: str


@dataclass(frozen=True)
class Site:
    """A finished site; serve `directory` over HTTP as it is.

    Attributes:
        directory: its root, with k3s/ apt/ charts/ images/. Read-only: its files are links into the cache.
        parts: what it is made of, for `lab status`.
        k3s_version: the version that the node's K3s reports, and its folder below k3s/.
        k3s_sha256: of the K3s binary.
        image_archives: all image tars.
        chart_version: the device plugin chart in charts/.
        toolkit_version: the container toolkit packages in apt/.
        apt_key_sha256: of apt/gpgkey.
        device_plugin_image: the image's full reference, as a chart value wants it.
        gpu_check_image: the same for the GPU check.
        pause_image: what K3s's `pause-image` must be.
    """

    directory: Path
    parts: list[Part]
    k3s_version: str
    k3s_sha256: str
    image_archives: list[ImageArchive]
    chart_version: str
    toolkit_version: str
    apt_key_sha256: str
    device_plugin_image: str
    gpu_check_image: str
    pause_image: str

    def fleet_values(self, *, mirror_url: str) -> dict[str, object]:
        """The fleet file's k3s, container_toolkit, device_plugin and gpu_check sections for nodes that use this site.

        Args:
            mirror_url: where the nodes reach the site's root, without a slash at the end, e.g. "http://172.29.0.2".
        """
        return {
            "k3s": {
                "version": self.k3s_version,
                "sha256": {"amd64": self.k3s_sha256},
                "artifact_url": f"{mirror_url}/k3s",
                "image_archives": [
                    {"url": f"{mirror_url}/{archive.path}", "sha256": archive.sha256} for archive in self.image_archives
                ],
            },
            "container_toolkit": {
                "version": self.toolkit_version,
                "apt_repository": f"{mirror_url}/apt/stable/deb",
                "apt_key_url": f"{mirror_url}/apt/{PUBLIC_KEY}",
                "apt_key_sha256": self.apt_key_sha256,
            },
            "device_plugin": {
                "chart_repository": f"{mirror_url}/charts",
                "chart_version": self.chart_version,
                "image": self.device_plugin_image,
            },
            "gpu_check": {"image": self.gpu_check_image},
        }


def build_site(*, progress: Progress, k3s_version: str = k3s.K3S_VERSION) -> Site:
    """Build what the cache lacks and lay the site out; K3s compiles while the rest is built.

    Args:
        progress: where the steps are said. Nothing cached: about 11 minutes on 2 cores; all cached: under a second.
        k3s_version: the K3s version string (default: the one of the pinned source). Another one is the same program
            linked anew.

    Raises:
        BuildError: when a part cannot be built; the other builds are ended, what is finished stays in the cache.
        CacheError: when the cache cannot be used.
    """
    _check_machine()
    k3s_part, parts = _build_parts(progress=progress, k3s_version=k3s_version)
    parts_by_name = {part.name: part for part in parts}
    repository = build_apt_repository(packages=parts_by_name["nvidia-container-toolkit"].path)
    parts = [k3s_part, *parts]

    def build(directory: Path) -> None:
        _link(k3s_part.path, directory / "k3s" / k3s_version)
        _link(repository, directory / "apt")
        _link(parts_by_name["chart nvidia-device-plugin"].path, directory / "charts")
        for part in parts:
            if part.name.startswith("image "):
                _link(part.path, directory / "images")
        for name in _IMAGES:
            archive = directory / "images" / name
            archive.with_name(f"{name}.sha256").write_text(f"{file_sha256(archive)}  {name}\n")

    # A cache entry's own path stands for its content.
    entries = [f"{path.parent.name}/{path.name}" for path in (*(part.path for part in parts), repository)]
    directory = build_once(name="site", key=content_key(_RECIPE, k3s_version, *entries), build=build)
    return Site(
        directory=directory,
        parts=parts,
        k3s_version=k3s_version,
        k3s_sha256=_first_word(directory / "k3s" / k3s_version / k3s.CHECKSUMS),
        image_archives=[
            ImageArchive(path=f"images/{name}", sha256=_first_word(directory / "images" / f"{name}.sha256"))
            for name in _IMAGES
        ],
        chart_version=device_plugin.CHART_VERSION,
        toolkit_version=TOOLKIT_VERSION,
        apt_key_sha256=file_sha256(directory / "apt" / PUBLIC_KEY),
        device_plugin_image=device_plugin.DEVICE_PLUGIN_IMAGE.removeprefix("docker.io/"),
        gpu_check_image=base_images.GPU_CHECK_IMAGE.removeprefix("docker.io/"),
        pause_image=base_images.PAUSE_IMAGE,
    )


def _check_machine() -> None:
    if shutil.which("dpkg") is None:
        raise BuildError("there is no dpkg: the lab's parts are built on Debian or Ubuntu")
    architecture = run_command(["dpkg", "--print-architecture"], timeout_seconds=30).strip()
    if architecture != "amd64":
        raise BuildError(f"this machine is {architecture}; the lab's recipes are for amd64 machines only")


def _build_parts(*, progress: Progress, k3s_version: str) -> tuple[Part, list[Part]]:
    """K3s beside all others one after another: its compile leaves cores idle while it downloads and links."""

    def build_others() -> list[Part]:
        return [
            base_images.build_pause_image(progress=progress),
            base_images.build_gpu_check_image(progress=progress),
            device_plugin.build_device_plugin_chart(progress=progress),
            device_plugin.build_device_plugin_image(progress=progress),
            *build_container_toolkit(progress=progress),
        ]

    with ThreadPoolExecutor(max_workers=2) as pool:
        long = pool.submit(k3s.build_k3s, progress=progress, version=k3s_version)
        others = pool.submit(build_others)
        _fail_together([long, others])
    return long.result(), others.result()


def _fail_together(futures: Sequence[Future[Any]]) -> None:
    """Wait for all; when one fails, end the others' commands instead of letting minutes of compiling go on."""
    try:
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    except BaseException:
        end_running_commands()
        raise
    for future in done:
        error = future.exception()
        if error is not None:
            end_running_commands()
            raise error


def _link(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=os.link, dirs_exist_ok=True)


def _first_word(path: Path) -> str:
    return path.read_text().split()[0]
