"""What the site mirror serves: every artifact built here, laid out as the public places have it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab.artifacts.apt_repository import PUBLIC_KEY
from lab.artifacts.base_images import GPU_CHECK_IMAGE, PAUSE_IMAGE
from lab.artifacts.container_toolkit import TOOLKIT_VERSION
from lab.artifacts.device_plugin import CHART_VERSION, DEVICE_PLUGIN_IMAGE
from lab.artifacts.k3s import CHECKSUMS, K3S_VERSION
from lab.cache import build_once, content_key, file_sha256
from lab.part import Part
from lab.progress import Progress
from lab.site_parts import LocalParts, build_local_parts
from lab.sources import PUBLIC_K3S_VERSION, PublicParts


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
        directory: its root, with images/ and, unless they come from public places, k3s/ apt/ charts/. Read-only: its
            files are links into the cache.
        parts: what it is made of, for `lab status`, with the parts that the nodes fetch from public places.
        public: those parts.
        k3s_version: the version that the nodes' K3s reports.
        k3s_sha256: of the K3s binary.
        image_archives: all image tars.
        apt_key_sha256: of the apt repository's key.
    """

    directory: Path
    parts: list[Part]
    public: PublicParts
    k3s_version: str
    k3s_sha256: str
    image_archives: list[ImageArchive]
    apt_key_sha256: str

    chart_version: str = CHART_VERSION
    toolkit_version: str = TOOLKIT_VERSION
    pause_image: str = PAUSE_IMAGE
    gpu_check_image: str = GPU_CHECK_IMAGE.removeprefix("docker.io/")

    @property
    def device_plugin_image(self) -> str:
        """The device plugin's image, as a chart value wants it."""
        if self.public.device_plugin_image:
            return self.public.places.device_plugin_image
        return DEVICE_PLUGIN_IMAGE.removeprefix("docker.io/")

    def fleet_values(self, *, mirror_url: str) -> dict[str, object]:
        """The fleet file's k3s, container_toolkit, device_plugin and gpu_check sections for nodes that use this site.

        Args:
            mirror_url: where the nodes reach the site's root, without a slash at the end, e.g. "http://172.29.0.2".
        """
        public, places = self.public, self.public.places
        apt_is_public = public.apt_key_sha256 is not None
        return {
            "k3s": {
                "version": self.k3s_version,
                "sha256": {"amd64": self.k3s_sha256},
                "artifact_url": f"{mirror_url}/k3s" if public.k3s_sha256 is None else places.k3s_releases,
                "image_archives": [
                    {"url": f"{mirror_url}/{archive.path}", "sha256": archive.sha256} for archive in self.image_archives
                ],
            },
            "container_toolkit": {
                "version": self.toolkit_version,
                "apt_repository": places.apt_repository if apt_is_public else f"{mirror_url}/apt/stable/deb",
                "apt_key_url": places.apt_key_url if apt_is_public else f"{mirror_url}/apt/{PUBLIC_KEY}",
                "apt_key_sha256": self.apt_key_sha256,
            },
            "device_plugin": {
                "chart_repository": places.chart_repository if public.chart else f"{mirror_url}/charts",
                "chart_version": self.chart_version,
                "image": self.device_plugin_image,
            },
            "gpu_check": {"image": self.gpu_check_image},
        }


def build_site(*, progress: Progress, public: PublicParts | None = None, k3s_version: str = K3S_VERSION) -> Site:
    """Build what the cache lacks and lay the site out.

    Args:
        progress: where the steps are said. Nothing cached: about 11 minutes on 2 cores; all cached: under a second.
        public: what lab.sources.find_public_parts() found (default: nothing, all is built here).
        k3s_version: the version string of a K3s built here (default: the one of the pinned source). Another one is the
            same program linked anew.

    Raises:
        BuildError: when a part cannot be built; the other builds are ended, what is finished stays in the cache.
        CacheError: when the cache cannot be used.
    """
    public = public or PublicParts()
    local = build_local_parts(progress=progress, public=public, k3s_version=k3s_version)
    entries = [f"{path.parent.name}/{path.name}" for path in local.directories]
    directory = build_once(
        name="site",
        key=content_key(Path(__file__), k3s_version, *entries),
        build=partial(_lay_out, local=local, k3s_version=k3s_version),
    )
    archives = sorted((directory / "images").glob("*.tar"))
    return Site(
        directory=directory,
        parts=[*local.parts, *_public_parts(public, directory=directory)],
        public=public,
        k3s_version=k3s_version if public.k3s_sha256 is None else PUBLIC_K3S_VERSION,
        k3s_sha256=public.k3s_sha256 or _first_word(directory / "k3s" / k3s_version / CHECKSUMS),
        image_archives=[
            ImageArchive(path=f"images/{archive.name}", sha256=_first_word(archive.with_suffix(".tar.sha256")))
            for archive in archives
        ],
        apt_key_sha256=public.apt_key_sha256 or file_sha256(directory / "apt" / PUBLIC_KEY),
    )


def _lay_out(directory: Path, *, local: LocalParts, k3s_version: str) -> None:
    if local.k3s is not None:
        _link(local.k3s.path, directory / "k3s" / k3s_version)
    if local.apt_repository is not None:
        _link(local.apt_repository, directory / "apt")
    if local.chart is not None:
        _link(local.chart.path, directory / "charts")
    for image in local.images:
        _link(image.path, directory / "images")
    for archive in sorted((directory / "images").glob("*.tar")):
        archive.with_suffix(".tar.sha256").write_text(f"{file_sha256(archive)}  {archive.name}\n")


def _public_parts(public: PublicParts, *, directory: Path) -> list[Part]:
    places = public.places
    wanted = [
        (public.k3s_sha256 is not None, "k3s", PUBLIC_K3S_VERSION, places.k3s_releases),
        (public.apt_key_sha256 is not None, "nvidia-container-toolkit", TOOLKIT_VERSION, places.apt_repository),
        (public.chart, "chart nvidia-device-plugin", CHART_VERSION, places.chart_repository),
        (public.device_plugin_image, "image k8s-device-plugin", f"v{CHART_VERSION}", places.device_plugin_image),
    ]
    return [
        Part(name=name, version=version, source=source, kind="real", path=directory)
        for is_public, name, version, source in wanted
        if is_public
    ]


def _link(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=os.link, dirs_exist_ok=True)


def _first_word(path: Path) -> str:
    return path.read_text().split()[0]
