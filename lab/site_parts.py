"""Builds the parts that the site is made of: those not taken from public places, K3s beside all others."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lab.artifacts.apt_repository import build_apt_repository
from lab.artifacts.base_images import build_gpu_check_image, build_pause_image
from lab.artifacts.command import BuildError, end_running_commands, run_command
from lab.artifacts.container_toolkit import build_container_toolkit
from lab.artifacts.device_plugin import build_device_plugin_chart, build_device_plugin_image
from lab.artifacts.k3s import build_k3s
from lab.artifacts.stand_in_driver import build_stand_in_driver
from lab.cache import NotCachedError, cached_only
from lab.part import Part
from lab.progress import Progress
from lab.sources import PublicParts


@dataclass(frozen=True)
class LocalParts:
    """What was built here; None stands for a part that comes from its public place.

    Attributes:
        k3s: a directory with the binary and its checksum file.
        toolkit: the toolkit's packages, all with the directory of the .deb files as their path.
        apt_repository: the signed repository of those packages.
        chart: a directory with the chart and its index.
        images: directories of image tars: always pause and the GPU check's base, else the device plugin's.
    """

    k3s: Part | None
    toolkit: Sequence[Part]
    apt_repository: Path | None
    chart: Part | None
    images: Sequence[Part]

    @property
    def parts(self) -> list[Part]:
        """All of them, in the order that `lab status` lists them."""
        single = [part for part in (self.k3s, self.chart) if part is not None]
        return [*single, *self.images, *self.toolkit]

    @property
    def directories(self) -> list[Path]:
        """The cache entries, which stand for their content."""
        repository = [] if self.apt_repository is None else [self.apt_repository]
        return [*(part.path for part in self.parts), *repository]


def build_local_parts(*, progress: Progress, public: PublicParts, k3s_version: str) -> LocalParts:
    """Build what the cache lacks; K3s compiles while the rest is built.

    Args:
        progress: where the steps are said.
        public: the parts that are not needed from here.
        k3s_version: the version string to link into K3s.

    Raises:
        BuildError: when a part cannot be built; the other builds are ended, what is finished stays in the cache.
    """
    _check_machine()
    with ThreadPoolExecutor(max_workers=2) as pool:
        others = pool.submit(_build_others, progress=progress, public=public)
        k3s = pool.submit(_build_k3s, progress=progress, public=public, k3s_version=k3s_version)
        _fail_together([k3s, others])
    return others.result()(k3s.result())


def site_is_cached(*, k3s_version: str) -> bool:
    """Whether every part of the site, and the stand-in driver with it, is already built here."""
    progress, nothing = Progress(), PublicParts()
    try:
        with cached_only():
            _build_k3s(progress=progress, public=nothing, k3s_version=k3s_version)
            _build_others(progress=progress, public=nothing)
            build_stand_in_driver(progress=progress)
    except (BuildError, NotCachedError):
        return False
    return True


def _build_k3s(*, progress: Progress, public: PublicParts, k3s_version: str) -> Part | None:
    return None if public.k3s_sha256 is not None else build_k3s(progress=progress, version=k3s_version)


def _build_others(*, progress: Progress, public: PublicParts) -> Callable[[Part | None], LocalParts]:
    """All parts but K3s; what comes back wants only K3s to be complete."""
    images = [build_pause_image(progress=progress), build_gpu_check_image(progress=progress)]
    chart = None if public.chart else build_device_plugin_chart(progress=progress)
    if not public.device_plugin_image:
        images.append(build_device_plugin_image(progress=progress))
    toolkit = [] if public.apt_key_sha256 is not None else build_container_toolkit(progress=progress)
    repository = build_apt_repository(packages=toolkit[0].path) if toolkit else None
    return partial(LocalParts, toolkit=toolkit, apt_repository=repository, chart=chart, images=images)


def _check_machine() -> None:
    if shutil.which("dpkg") is None:
        raise BuildError("there is no dpkg: the lab's parts are built on Debian or Ubuntu")
    architecture = run_command(["dpkg", "--print-architecture"], timeout_seconds=30).strip()
    if architecture != "amd64":
        raise BuildError(f"this machine is {architecture}; the lab's recipes are for amd64 machines only")


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
