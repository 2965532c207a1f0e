"""The site mirror: a web server that gives the nodes what a site without internet would have for them."""

from __future__ import annotations

import contextlib
import time
import urllib.request
from pathlib import Path

import docker
from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import EndpointConfig, Mount

from lab.artifacts.debian_package import debian_package
from lab.artifacts.image_archive import ImageConfig, write_image
from lab.cache import build_once, content_key
from lab.errors import LabError
from lab.labels import MADE_FROM, lab_labels
from lab.part import Part
from lab.progress import Progress
from lab.settings import LabSettings

_REPOSITORY = "edge-gpu-lab/site"
_ARCHIVE = "site.tar"
_COMMAND = ("/busybox", "httpd", "-f", "-p", "80", "-h", "/site")
_ANSWER_TIMEOUT_SECONDS = 20.0
_ONE_ANSWER_SECONDS = 2.0


def ensure_site_mirror(
    client: docker.DockerClient, settings: LabSettings, *, directory: Path, progress: Progress
) -> Part:
    """A running web server for a finished site, at the settings' site_address, port 80.

    Args:
        client: the engine; it must run on this machine, because it mounts the directory.
        settings: the lab.
        directory: the site's root; the nodes get it read-only.
        progress: says when its image is built.

    Raises:
        LabError: it does not start or does not answer.
    """
    image, part = _ensure_image(client, progress=progress)
    wanted = content_key(image, str(directory), settings.site_address, " ".join(_COMMAND))
    container: Container | None = None
    try:
        container = client.containers.get(settings.site_container)
        if container.labels.get(MADE_FROM) != wanted:
            # It holds nothing of its own.
            container.remove(force=True)
            container = None
    except NotFound:
        pass
    try:
        if container is None:
            container = client.containers.create(
                image,
                name=settings.site_container,
                labels={**lab_labels(settings), MADE_FROM: wanted},
                network=settings.name,
                networking_config={
                    settings.name: EndpointConfig("1.41", ipv4_address=settings.site_address, aliases=["site"])
                },
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                read_only=True,
                mounts=[Mount(target="/site", source=str(directory), type="bind", read_only=True)],
            )
        if container.status != "running":
            container.start()
        elif not _serves(settings, directory):
            # A mount stays with the folder that it was made for, even when that is removed and built again.
            container.restart(timeout=0)
    except APIError as error:
        with contextlib.suppress(APIError):
            if container is not None:
                container.remove(force=True)
        raise LabError(f"the Docker engine cannot start the site mirror: {error.explanation or error}") from error
    _wait(settings, directory)
    return part


def _ensure_image(client: docker.DockerClient, *, progress: Progress) -> tuple[str, Part]:
    busybox = debian_package("busybox-static")
    key = content_key("1", busybox.sha256)
    reference = f"{_REPOSITORY}:{key}"

    def build(directory: Path) -> None:
        with progress.step("site mirror: pack its image"):
            root = directory / "root"
            (root / "site").mkdir(parents=True)
            program = root / "busybox"
            program.write_bytes((busybox.unpacked() / "bin" / "busybox").read_bytes())
            program.chmod(0o755)
            write_image(
                root=root,
                reference=f"docker.io/{reference}",
                config=ImageConfig(entrypoint=_COMMAND),
                output=directory / _ARCHIVE,
            )

    path = build_once(name="image-site", key=key, build=build)
    try:
        client.images.get(reference)
    except ImageNotFound:
        with (path / _ARCHIVE).open("rb") as archive:
            client.images.load(archive)
    version = busybox.version
    return reference, Part(name="site mirror", version=version, source=busybox.source, kind="real", path=path)


def _wait(settings: LabSettings, directory: Path) -> None:
    deadline = time.monotonic() + _ANSWER_TIMEOUT_SECONDS
    while not _serves(settings, directory):
        if time.monotonic() > deadline:
            raise LabError(
                f"the site mirror does not serve {directory} at http://{settings.site_address}/ after"
                f" {_ANSWER_TIMEOUT_SECONDS:.0f} s; see docker logs {settings.site_container}"
            )
        time.sleep(0.05)


def _serves(settings: LabSettings, directory: Path) -> bool:
    """Whether the mirror answers with what lies in the directory now, told by one small file of it."""
    probe = min((directory / "images").glob("*.sha256"))
    url = f"http://{settings.site_address}/images/{probe.name}"
    try:
        with urllib.request.urlopen(url, timeout=_ONE_ANSWER_SECONDS) as answer:
            served: bytes = answer.read()
            return served == probe.read_bytes()
    except OSError:
        return False
