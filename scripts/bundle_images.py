"""Which container images an archive holds, and what their labels say."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.errors import CommandError

_LOOKED_INTO = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz")
"""Python's own tarfile reads these; of the others (zstd, lz4) the names are unknown here, and K3s reads them."""


@dataclass(frozen=True, kw_only=True)
class ImageInArchive:
    """One image.

    Attributes:
        name: as a pod names it, without `docker.io/`.
        architecture: `amd64` or `arm64`.
        labels: of its configuration.
    """

    name: str
    architecture: str
    labels: Mapping[str, str]

    @property
    def licence(self) -> str:
        """What its label says, else `NOASSERTION`."""
        return self.labels.get("org.opencontainers.image.licenses", "NOASSERTION")


def images_in(archive: Path, *, name: str) -> Sequence[ImageInArchive]:
    """The images of an archive as `docker save` writes it; none when its compression cannot be read here.

    Args:
        archive: the file.
        name: its name, whose ending says how it is compressed.

    Raises:
        CommandError: it is damaged or no image archive.
    """
    if not name.endswith(_LOOKED_INTO):
        return ()
    try:
        with tarfile.open(archive) as tar:
            return [
                ImageInArchive(
                    name=tag.removeprefix("docker.io/"),
                    architecture=str(config.get("architecture", "")),
                    labels=(config.get("config") or {}).get("Labels") or {},
                )
                for image in _json(tar, "manifest.json")
                for config in [_json(tar, image["Config"])]
                for tag in image["RepoTags"] or []
            ]
    except (tarfile.TarError, KeyError, ValueError, EOFError, OSError) as error:
        raise CommandError(
            f"{name} is no image archive that can be read: {error}. Fix: write it with `docker save IMAGE -o {name}`"
        ) from error


def _json(tar: tarfile.TarFile, path: str) -> Any:
    stream = tar.extractfile(path)
    if stream is None:
        raise KeyError(f"{path} is no file")
    return json.load(stream)
