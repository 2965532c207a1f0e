"""What a container image is built from, and one hash of all of it. Plain Python: no CDK."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from constructs_lib.docker_ignore import DockerIgnore

_FORMAT = "1"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildContext:
    """A folder that is sent to the engine, and the Dockerfile in it.

    Args:
        folder: Absolute path: the docker provider resolves others against a folder of its own
            (kreuzwerker/terraform-provider-docker issues 592, 652 and 809).
        dockerfile: Absolute path inside `folder`.

    Raises:
        ValueError: One of them is not absolute, absent, or the Dockerfile lies outside of the folder.
    """

    folder: Path
    dockerfile: Path

    def __post_init__(self) -> None:
        for name, path in (("folder", self.folder), ("dockerfile", self.dockerfile)):
            if not path.is_absolute():
                raise ValueError(f"build context: {name} must be absolute, got {str(path)!r}; pass Path(...).resolve()")
        if not self.folder.is_dir():
            raise ValueError(f"build context: {self.folder} is no folder; name the one that holds the Dockerfile")
        if not self.dockerfile.is_file():
            raise ValueError(f"build context: there is no Dockerfile {self.dockerfile}")
        if not self.dockerfile.is_relative_to(self.folder):
            raise ValueError(
                f"build context: the Dockerfile {self.dockerfile} lies outside of {self.folder}; move it in there, "
                "the provider sends no other file"
            )

    def files(self) -> Iterator[Path]:
        """The files and links that the engine gets, in the order of their names.

        Raises:
            ValueError: `.dockerignore` holds a pattern that is none.
        """
        ignore_file = self.folder / ".dockerignore"
        ignore = DockerIgnore(ignore_file.read_text(encoding="utf-8") if ignore_file.is_file() else "")
        # These two are sent whatever the rules say.
        always = {self.dockerfile, ignore_file}
        for path in sorted(self._walk(ignore), key=lambda path: path.relative_to(self.folder).parts):
            if path in always or not ignore.ignores(path.relative_to(self.folder).as_posix()):
                yield path

    def _walk(self, ignore: DockerIgnore) -> Iterator[Path]:
        # The Dockerfile may lie in a folder that is ignored.
        kept = {self.folder / parent for parent in self.dockerfile.relative_to(self.folder).parents}
        for current, folders, names in os.walk(self.folder):
            here = Path(current)
            links = [name for name in folders if (here / name).is_symlink()]
            yield from (here / name for name in [*names, *links])
            if not ignore.has_exceptions:
                folders[:] = [
                    name
                    for name in folders
                    if here / name in kept or not ignore.ignores((here / name).relative_to(self.folder).as_posix())
                ]

    def content_hash(
        self,
        *,
        build_args: Mapping[str, str] | None = None,
        target: str | None = None,
        platform: str | None = None,
        base_hash: str | None = None,
    ) -> str:
        """64 hex digits that change when the image would: names, bytes, execute bits and links of all files sent,
        the Dockerfile's place, the arguments and the base. Times, owners and other mode bits do not count: git keeps
        none of them, so the same commit gives the same hash on every machine.

        Args:
            build_args: The build's arguments.
            target: The stage that is built, default the last.
            platform: As `docker build --platform`, default the engine's.
            base_hash: The hash of the image that this one is built on, when that is built too.

        Raises:
            ValueError: The context holds what no engine takes (a socket, a device, a pipe).
        """
        digest = hashlib.sha256()

        def add(*fields: str | bytes) -> None:
            for field in fields:
                data = field.encode() if isinstance(field, str) else field
                digest.update(b"%d:" % len(data) + data)

        add(_FORMAT, self.dockerfile.relative_to(self.folder).as_posix())
        add(target or "", platform or "", base_hash or "")
        for name, value in sorted((build_args or {}).items()):
            add("arg", name, value)
        for path in self.files():
            add(*self._entry(path))
        return digest.hexdigest()

    def _entry(self, path: Path) -> tuple[str | bytes, ...]:
        name = path.relative_to(self.folder).as_posix()
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            return ("link", name, os.fsencode(path.readlink()))
        if not stat.S_ISREG(mode):
            raise ValueError(
                f"build context: {path} is neither file nor link; remove it or name it in {self.folder}/.dockerignore"
            )
        content = hashlib.sha256()
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                content.update(chunk)
        return ("program" if mode & stat.S_IXUSR else "file", name, content.digest())
