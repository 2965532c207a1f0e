"""Archives of a directory tree that come out the same bytes every time."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path
from typing import IO

# One fixed time, so that neither the checkout's nor the build's clock changes a hash.
FIXED_TIME_SECONDS = 1_700_000_000


def write_tar(*, tree: Path, output: IO[bytes] | gzip.GzipFile, prefix: str = "") -> None:
    """Write a tree as an uncompressed tar: sorted, owned by root, one fixed time; modes and links are kept.

    Args:
        tree: the directory whose content is written; files that are hard-linked are written as files.
        output: where the tar goes; left open.
        prefix: put before each name, e.g. "./" or "chart-name/" (default: nothing).
    """
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(tree.rglob("*")):
            entry = archive.gettarinfo(path, arcname=prefix + str(path.relative_to(tree)))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = "root"
            entry.mtime = FIXED_TIME_SECONDS
            if path.is_symlink() or not path.is_file():
                archive.addfile(entry)
                continue
            entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", path.stat().st_size
            with path.open("rb") as content:
                archive.addfile(entry, content)


def write_tar_gz(*, tree: Path, output: Path, prefix: str = "") -> None:
    """As write_tar(), gzipped, without the name and time that gzip would put into its header."""
    with output.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
        write_tar(tree=tree, output=packed, prefix=prefix)
