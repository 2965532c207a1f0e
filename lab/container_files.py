"""Puts files into containers and reads them, running or not."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from docker.models.containers import Container

from lab.artifacts.tree_archive import FIXED_TIME_SECONDS
from lab.errors import LabError


@dataclass(frozen=True)
class ContainerFile:
    """A file for a container.

    Attributes:
        content: its bytes.
        mode: its permissions (default 0644).
        owner: numeric user and group (default root).
    """

    content: bytes
    mode: int = 0o644
    owner: int = 0


def tree_files(tree: Path) -> dict[str, ContainerFile]:
    """The files below a directory, by relative path; they are root's, executable or not."""
    paths = [path for path in sorted(tree.rglob("*")) if path.is_file()]
    modes = {path: 0o755 if path.stat().st_mode & 0o100 else 0o644 for path in paths}
    return {str(path.relative_to(tree)): ContainerFile(path.read_bytes(), mode=modes[path]) for path in paths}


def put_files(container: Container, files: Mapping[str, ContainerFile], *, directory: str = "/") -> None:
    """Write files into a container at once.

    Args:
        container: running, stopped or not started yet.
        files: path below the directory -> file; folders on the way are made (root's, 0755).
        directory: an existing directory of the container.

    Raises:
        LabError: the engine did not take them.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        folders = {parent for name in files for parent in PurePosixPath(name).parents}
        for folder in sorted(folders - {PurePosixPath(".")}):
            entry = tarfile.TarInfo(str(folder))
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, FIXED_TIME_SECONDS
            archive.addfile(entry)
        for name, file in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(file.content), file.mode, FIXED_TIME_SECONDS
            entry.uid = entry.gid = file.owner
            archive.addfile(entry, io.BytesIO(file.content))
    if not container.put_archive(directory, packed.getvalue()):
        raise LabError(f"the Docker engine did not take {', '.join(sorted(files))} for container {container.name}")


def read_file(container: Container, path: str) -> bytes:
    """A file's content.

    Raises:
        LabError: there is no such regular file.
    """
    stream, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        content = archive.extractfile(archive.getmembers()[0])
        if content is None:
            raise LabError(f"{path} in container {container.name} is no regular file")
        return content.read()
