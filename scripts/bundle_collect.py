"""Collects what a fleet's nodes install, from the fleet's own addresses, each file verified before it counts."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import yaml
from debian.deb822 import Packages, Release

from constructs_lib.offline_bundle import APT_KEY
from lab.artifacts.command import BuildError, require_tool, run_command
from lab.cache import file_sha256
from lab.progress import Progress
from scripts.bundle_images import ImageInArchive, images_in
from scripts.errors import CommandError
from stacks.fleet import Fleet
from stacks.fleet_to_constructs import k3s_release

TOOLKIT_PACKAGES = (
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
)
"""What constructs_lib/nvidia_container_toolkit.sh installs."""

_ANSWER_TIMEOUT_SECONDS = 60.0
_GPG_TIMEOUT_SECONDS = 60.0
_INDEXES = ("Packages", "Packages.gz", "Packages.xz", "Packages.bz2")


@dataclass(frozen=True, kw_only=True)
class Collected:
    """One file of the bundle.

    Attributes:
        path: in the bundle.
        file: where it lies now.
        component: what it is, e.g. `k3s`.
        version: of that.
        licence: SPDX expression, or `NOASSERTION` where nothing says it.
        source: address it came from.
        verified: against what.
        images: container images in it, for archives.
    """

    path: str
    file: Path
    component: str
    version: str
    licence: str
    source: str
    verified: str
    images: Sequence[ImageInArchive] = field(default=())

    def entry(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        described: dict[str, Any] = {
            "path": self.path,
            "component": self.component,
            "version": self.version,
            "licence": self.licence,
            "source": self.source,
            "verified": self.verified,
        }
        if self.images:
            described["images"] = [image.name for image in self.images]
        return described


def collect(
    fleet: Fleet, *, architecture: str, extra_images: Sequence[Path], directory: Path, progress: Progress
) -> list[Collected]:
    """Download and verify what the fleet's nodes of one architecture install.

    Args:
        fleet: the parsed fleet file.
        architecture: `amd64` or `arm64`.
        extra_images: archives of container images on this machine, put in as they are.
        directory: an empty directory for the downloads.
        progress: where the steps are said.

    Raises:
        CommandError: an address does not answer, or a checksum or signature is wrong.
    """
    collected = [*_k3s(fleet, architecture=architecture, directory=directory, progress=progress)]
    for archive in extra_images:
        if not archive.is_file():
            raise CommandError(
                f"{archive} does not exist. Fix: name an archive that `docker save` or `ctr export` wrote"
            )
        collected.append(
            _archive(archive, name=archive.name, source=f"file {archive.name}", verified="given by the operator")
        )
    if any(node.gpus for node in fleet.nodes):
        collected += _toolkit(fleet, architecture=architecture, directory=directory, progress=progress)
        collected.append(_chart(fleet, directory=directory, progress=progress))
    paths = [item.path for item in collected]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise CommandError(f"two files would lie at {twice[0]} in the bundle. Fix: rename one of the archives")
    return sorted(collected, key=lambda item: item.path)


def _k3s(fleet: Fleet, *, architecture: str, directory: Path, progress: Progress) -> Iterator[Collected]:
    release = k3s_release(fleet)
    url = release.binary_url(architecture=architecture)
    name = url.rpartition("/")[2]
    with progress.step(f"K3s {release.version}"):
        sha256 = release.binary_sha256(architecture=architecture)
        binary = _download(url, directory / "k3s", sha256=sha256)
    yield Collected(
        path=f"k3s/{release.version}/{name}",
        file=binary,
        component="k3s",
        version=release.version,
        licence="Apache-2.0",
        source=url,
        verified="sha256 in the fleet file",
    )
    for number, archive in enumerate(release.image_archives):
        name = archive.url.rpartition("/")[2]
        with progress.step(f"image archive {name}"):
            file = _download(archive.url, directory / f"image-{number}", sha256=archive.sha256)
        yield _archive(file, name=name, source=archive.url, verified="sha256 in the fleet file")


def _archive(file: Path, *, name: str, source: str, verified: str) -> Collected:
    images = images_in(file, name=name)
    return Collected(
        path=f"images/{name}",
        file=file,
        component=f"images {name}",
        version=", ".join(image.name for image in images) or "not looked into",
        licence=" AND ".join(sorted({image.licence for image in images})) or "NOASSERTION",
        source=source,
        verified=verified,
        images=images,
    )


def _toolkit(fleet: Fleet, *, architecture: str, directory: Path, progress: Progress) -> Iterator[Collected]:
    toolkit = fleet.container_toolkit
    with progress.step(f"container toolkit {toolkit.version}"):
        key = _download(toolkit.apt_key_url, directory / "apt-key", sha256=toolkit.apt_key_sha256)
        folder = f"{toolkit.apt_repository}/{architecture}"
        signed = _download(f"{folder}/InRelease", directory / "InRelease")
        release = Release(_signed_text(signed, key=key, source=f"{folder}/InRelease"))
        wanted = {entry["name"].removeprefix("./"): entry["sha256"] for entry in release.get("SHA256", [])}
        indexes = {
            name: _download(f"{folder}/{name}", directory / name, sha256=wanted[name])
            for name in _INDEXES
            if name in wanted
        }
        if "Packages" not in indexes:
            raise CommandError(
                f"{folder}/InRelease names no sha256 of Packages. Fix: name a repository laid out as NVIDIA's is"
            )
        packages = list(_pinned_packages(indexes["Packages"], version=toolkit.version, source=folder))
        debs = [
            (
                package,
                _download(
                    f"{folder}/{package['Filename'].removeprefix('./')}",
                    directory / f"{package['Package']}.deb",
                    sha256=package["SHA256"],
                ),
            )
            for package in packages
        ]
    key_check = (
        "sha256 in the fleet file" if toolkit.apt_key_sha256 else "TLS alone: the fleet file has no sha256 of it"
    )
    signature = "the repository's signature"
    yield Collected(
        path=APT_KEY,
        file=key,
        component="signing key of the toolkit's repository",
        version=hashlib.sha256(key.read_bytes()).hexdigest()[:16],
        licence="NOASSERTION",
        source=toolkit.apt_key_url,
        verified=key_check,
    )
    for name, file in {"InRelease": signed, **indexes}.items():
        yield Collected(
            path=f"apt/{architecture}/{name}",
            file=file,
            component=f"index {name} of the toolkit's repository",
            source=f"{folder}/{name}",
            version=toolkit.version,
            licence="Apache-2.0",
            verified=signature,
        )
    for package, file in debs:
        name = package["Filename"].removeprefix("./")
        yield Collected(
            path=f"apt/{architecture}/{name}",
            file=file,
            component=package["Package"],
            source=f"{folder}/{name}",
            version=toolkit.version,
            licence="Apache-2.0",
            verified=signature,
        )


def _signed_text(signed: Path, *, key: Path, source: str) -> str:
    """What the repository's key signed; nothing outside of the signature counts."""
    try:
        require_tool("gpg", package="gnupg")
        # Outside of the downloads' directory: gpg-agent's socket lies in its home, and its path must be short.
        with tempfile.TemporaryDirectory(prefix="gpg-") as home:
            gpg = ["gpg", "--homedir", home, "--batch", "--no-tty", "--quiet", "--no-autostart"]
            run_command([*gpg, "--import", key], timeout_seconds=_GPG_TIMEOUT_SECONDS)
            text = Path(home, "text")
            run_command([*gpg, "--output", text, "--decrypt", signed], timeout_seconds=_GPG_TIMEOUT_SECONDS)
            return text.read_text(encoding="utf-8")
    except BuildError as error:
        raise CommandError(
            f"{source}: its signature cannot be verified with the key of container_toolkit.apt_key_url:\n{error}\n"
            "Fix: compare the key with the one that NVIDIA publishes"
        ) from error


def _pinned_packages(index: Path, *, version: str, source: str) -> Iterator[Mapping[str, str]]:
    with index.open("rb") as stream:
        listed = {
            (package["Package"], package["Version"]): dict(package)
            for package in Packages.iter_paragraphs(stream, use_apt_pkg=False)
        }
    for name in TOOLKIT_PACKAGES:
        if (name, version) not in listed:
            offered = ", ".join(sorted(v for n, v in listed if n == name)[-3:]) or "no version of it"
            raise CommandError(
                f"{source} does not offer {name} {version}, but {offered}. "
                "Fix: container_toolkit.version in the fleet file"
            )
        yield listed[name, version]


def _chart(fleet: Fleet, *, directory: Path, progress: Progress) -> Collected:
    repository, version = fleet.device_plugin.chart_repository, fleet.device_plugin.chart_version
    with progress.step(f"chart nvidia-device-plugin {version}"):
        index = yaml.safe_load(_download(f"{repository}/index.yaml", directory / "index.yaml").read_text())
        entries = [
            entry for entry in index["entries"].get("nvidia-device-plugin", []) if str(entry["version"]) == version
        ]
        if not entries:
            raise CommandError(f"{repository} does not offer chart nvidia-device-plugin {version}. Fix: chart_version")
        url = urljoin(f"{repository}/", entries[0]["urls"][0])
        digest = str(entries[0].get("digest", "")).removeprefix("sha256:")
        if not digest:
            raise CommandError(f"{repository}/index.yaml has no digest of {url}. Fix: name NVIDIA's own repository")
        file = _download(url, directory / "chart.tgz", sha256=digest)
    return Collected(
        path=f"charts/nvidia-device-plugin-{version}.tgz",
        file=file,
        component="chart nvidia-device-plugin",
        version=version,
        licence="Apache-2.0",
        source=url,
        verified="digest in the chart repository's index",
    )


def _download(url: str, file: Path, *, sha256: str | None = None) -> Path:
    """Fetch `url` to `file`; with `sha256`, only when the bytes have it."""
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_TIMEOUT_SECONDS) as answer, file.open("wb") as output:
            shutil.copyfileobj(answer, output, 1 << 20)
    except (OSError, urllib.error.URLError) as error:
        raise CommandError(f"{url} cannot be downloaded: {error}. Fix: open the address from this machine") from error
    if sha256 is not None and (seen := file_sha256(file)) != sha256:
        raise CommandError(
            f"{url} has the wrong sha256: expected {sha256}, seen {seen}: another version, truncated or tampered with. "
            "Fix: put the published checksum of exactly this file into the fleet file"
        )
    return file


def chart_index(item: Collected) -> bytes:
    """An index.yaml that makes the bundle's charts/ a Helm repository, should it be served over HTTP."""
    with tarfile.open(item.file) as archive:
        stream = archive.extractfile("nvidia-device-plugin/Chart.yaml")
        assert stream is not None, "a chart has a Chart.yaml"
        metadata = yaml.safe_load(io.TextIOWrapper(stream, encoding="utf-8"))
    entry = {**metadata, "digest": file_sha256(item.file), "urls": [item.path.rpartition("/")[2]]}
    index = {"apiVersion": "v1", "entries": {metadata["name"]: [entry]}, "generated": "2023-11-14T22:13:20Z"}
    return yaml.safe_dump(index, sort_keys=True).encode()
