"""The nodes' Docker image: the Debian root file system and the lab's own files over it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import docker
from docker.errors import APIError, ImageNotFound
from docker.errors import BuildError as DockerBuildError

from lab.artifacts.command import BuildError
from lab.artifacts.node_root import ROOT_ARCHIVE, build_node_root
from lab.artifacts.tree_archive import FIXED_TIME_SECONDS
from lab.cache import content_key
from lab.part import Part
from lab.progress import Progress

REPOSITORY = "edge-gpu-lab/node"

_BASE_REPOSITORY = "edge-gpu-lab/node-base"
_FILES = Path(__file__).parents[1] / "node"
_BUILD_TIMEOUT_SECONDS = 600


def ensure_node_image(client: docker.DockerClient, *, progress: Progress) -> tuple[str, Part]:
    """The image's full reference, and the Part that it is made of; whatever the engine lacks is put in now.

    Its tag is a content key: the same reference is always the same machine.

    Args:
        client: the engine.
        progress: where the steps are said: a minute the first time, 7 s when only the engine's copy is gone.

    Raises:
        BuildError: the root file system cannot be made, or the engine cannot build the image.
    """
    root = build_node_root(progress=progress)
    key = content_key(root.path.name, _FILES)
    reference = f"{REPOSITORY}:{key}"
    if not _has(client, reference):
        base = f"{_BASE_REPOSITORY}:{root.path.name}"
        if not _has(client, base):
            with progress.step("node image: import the root file system"):
                _import(client, archive=root.path / ROOT_ARCHIVE, reference=base)
        with progress.step("node image: add the lab's files"):
            _build(client, base=base, reference=reference)
        _remove_older(client, keep={reference, base})
    return reference, root


def _has(client: docker.DockerClient, reference: str) -> bool:
    try:
        client.images.get(reference)
    except ImageNotFound:
        return False
    return True


def _import(client: docker.DockerClient, *, archive: Path, reference: str) -> None:
    repository, tag = reference.split(":")
    answer = client.api.import_image_from_file(str(archive), repository=repository, tag=tag)
    if not _has(client, reference):
        raise BuildError(f"the Docker engine did not import {archive}: {answer}")


def _build(client: docker.DockerClient, *, base: str, reference: str) -> None:
    try:
        client.images.build(
            fileobj=_context(),
            custom_context=True,
            buildargs={"BASE": base},
            tag=reference,
            rm=True,
            forcerm=True,
            network_mode="none",
            timeout=_BUILD_TIMEOUT_SECONDS,
        )
    except (DockerBuildError, APIError) as error:
        said = "".join(line.get("stream", "") for line in getattr(error, "build_log", ()) if isinstance(line, dict))
        raise BuildError(f"the Docker engine cannot build {reference}: {error}\n{said[-2000:]}") from error


def _context() -> io.BytesIO:
    """lab/node as the engine's build context; a checkout's umask, owner and times do not reach the nodes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(_FILES.rglob("*")):
            entry = archive.gettarinfo(path, arcname=str(path.relative_to(_FILES)))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = "root"
            entry.mtime = FIXED_TIME_SECONDS
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            with path.open("rb") if entry.isfile() else io.BytesIO() as content:
                archive.addfile(entry, content)
    packed.seek(0)
    return packed


def _remove_older(client: docker.DockerClient, *, keep: set[str]) -> None:
    for repository in (REPOSITORY, _BASE_REPOSITORY):
        for image in client.images.list(name=repository):
            for tag in set(image.tags) - keep:
                try:
                    client.images.remove(tag)
                except APIError:
                    # A container still uses it; it goes with a later image.
                    continue
