"""The bundle as a file: one plain tar with a manifest, in one piece or in parts; written, verified and unpacked."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from lab.cache import file_sha256
from scripts.errors import CommandError

MANIFEST = "manifest.json"
CHECKSUMS = "SHA256SUMS"
SCHEMA = 1

_EPOCH_SECONDS = 1_700_000_000
"""Time of every file in a bundle: the same input makes the same bytes."""
_CHUNK_BYTES = 1 << 20
_PART = re.compile(r"(?P<stem>.+)\.part-(?P<number>\d{3})-of-(?P<count>\d{3})")


def write_bundle(
    output: Path,
    *,
    files: Mapping[str, Path | bytes],
    manifest: Mapping[str, Any],
    part_bytes: int | None = None,
) -> list[Path]:
    """Write a bundle at once and whole; the same files and manifest make the same bytes.

    Args:
        output: the file. With `part_bytes` it is the stem of `<output>.part-001-of-003` and so on.
        files: path in the bundle -> content or the file that holds it. What ends in `.sh` may be executed.
        manifest: what stands in `manifest.json`, without its list of files, which is added here.
        part_bytes: split into parts of this many bytes (default: one file).

    Returns:
        What was written; `<output>.sha256`, which names all of it as `sha256sum -c` takes it, is the last.

    Raises:
        CommandError: the disk is full or `output` cannot be written; nothing is left there.
    """
    listed = [{"path": path, **_measure(content)} for path, content in sorted(files.items())]
    known = {entry["path"]: entry for entry in manifest.get("files", [])}
    whole = {**manifest, "schema": SCHEMA, "files": [{**known.get(entry["path"], {}), **entry} for entry in listed]}
    manifest_bytes = (json.dumps(whole, indent=1, sort_keys=True) + "\n").encode()
    sums = "".join(f"{entry['sha256']}  {entry['path']}\n" for entry in listed)
    sums += f"{hashlib.sha256(manifest_bytes).hexdigest()}  {MANIFEST}\n"
    # The manifest comes first: whoever reads the file learns at once what it is.
    contents: dict[str, Path | bytes] = {
        MANIFEST: manifest_bytes,
        CHECKSUMS: sums.encode(),
        **dict(sorted(files.items())),
    }
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        for older in (output, output.with_name(f"{output.name}.sha256"), *_parts_beside(output)):
            older.unlink(missing_ok=True)
        unfinished = output.with_name(f".{output.name}.unfinished")
        try:
            with tarfile.open(unfinished, mode="w", format=tarfile.PAX_FORMAT) as archive:
                for path, content in contents.items():
                    _add(archive, path=path, content=content)
            written = [output] if part_bytes is None else _split(unfinished, output=output, part_bytes=part_bytes)
            if part_bytes is None:
                unfinished.rename(output)
        finally:
            unfinished.unlink(missing_ok=True)
        beside = output.with_name(f"{output.name}.sha256")
        beside.write_text("".join(f"{file_sha256(path)}  {path.name}\n" for path in written))
    except OSError as error:
        raise CommandError(
            f"{output} cannot be written: {error.strerror}. Fix: name a place with room for it"
        ) from error
    return [*written, beside]


def read_manifest(bundle: Path) -> dict[str, Any]:
    """The manifest of a bundle, without checking the rest.

    Raises:
        CommandError: no bundle, a part is missing, or it was made by another version of this project.
    """
    with _opened(bundle) as archive:
        first = archive.next()
        return _manifest_in(bundle, archive, first)


def verify_bundle(bundle: Path, *, unpack_into: Path | None = None) -> dict[str, Any]:
    """Check every byte of a bundle against its manifest, and that it holds nothing else.

    Args:
        bundle: the file, or the name that its parts share, or one of its parts.
        unpack_into: an empty directory to write the files to while they are checked (default: nothing is written).

    Returns:
        The manifest.

    Raises:
        CommandError: a part is missing or truncated, a byte differs, or a file is missing or not in the manifest.
    """
    with _opened(bundle) as archive:
        manifest = _manifest_in(bundle, archive, archive.next())
        wanted = {entry["path"]: entry for entry in manifest["files"]}
        seen: set[str] = set()
        for member in _members(bundle, archive):
            if member.name == MANIFEST and not seen:
                seen.add(MANIFEST)
                continue
            if member.name in seen:
                raise CommandError(f"{bundle}: holds {member.name} twice; no bundle of this project does. {_AGAIN}")
            seen.add(member.name)
            entry = wanted.get(member.name)
            if entry is None and member.name != CHECKSUMS:
                raise CommandError(f"{bundle}: holds {member.name}, which its manifest does not name. {_AGAIN}")
            content = archive.extractfile(member)
            assert content is not None, "members are checked to be files"
            sha256 = _copy(bundle, content, member=member, into=unpack_into)
            if entry is not None and (sha256 != entry["sha256"] or member.size != entry["size"]):
                raise CommandError(
                    f"{bundle}: {member.name} was changed: its sha256 is {sha256}, the manifest says "
                    f"{entry['sha256']}. {_AGAIN}"
                )
        missing = sorted({*wanted, CHECKSUMS} - seen)
        if missing:
            raise CommandError(f"{bundle}: {missing[0]} is missing ({len(missing)} files in all). {_AGAIN}")
    if unpack_into is not None:
        text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
        (unpack_into / MANIFEST).write_text(text)
    return manifest


def unpack_bundle(bundle: Path, *, directory: Path) -> dict[str, Any]:
    """Verify a bundle into a new directory that is laid out as a site mirror; serve it over HTTP as it is.

    Args:
        bundle: as for verify_bundle().
        directory: made here; must not exist yet.

    Raises:
        CommandError: as for verify_bundle(), the directory exists, or the disk is too small; nothing is left there.
    """
    if directory.exists():
        raise CommandError(f"{directory} exists already. Fix: name a directory that does not, or remove it")
    needed = sum(entry["size"] for entry in read_manifest(bundle)["files"])
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(directory.parent).free
        if free < needed:
            raise CommandError(
                f"{directory.parent} has {free >> 20} MiB free, the bundle unpacks to {needed >> 20} MiB. "
                "Fix: free space there, or name another directory"
            )
        unfinished = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        try:
            unfinished.chmod(0o755)
            manifest = verify_bundle(bundle, unpack_into=unfinished)
            unfinished.rename(directory)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    except OSError as error:
        raise CommandError(f"{bundle} cannot be unpacked to {directory}: {error.strerror}. Fix: free space") from error
    return manifest


def unpack_file(bundle: Path, *, path: str, sha256: str, target: Path) -> None:
    """Take one file out of a bundle.

    Args:
        bundle: as for verify_bundle().
        path: in the bundle.
        sha256: what the manifest says of it.
        target: where to write it, at once and whole.

    Raises:
        CommandError: it is not in the bundle, or was changed.
    """
    with _opened(bundle) as archive:
        for member in _members(bundle, archive):
            stream = archive.extractfile(member) if member.name == path else None
            if stream is None:
                continue
            content = stream.read()
            if hashlib.sha256(content).hexdigest() != sha256:
                break
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished = target.with_name(f".{target.name}.unfinished")
            unfinished.write_bytes(content)
            unfinished.replace(target)
            return
    raise CommandError(f"{bundle}: {path} is missing or was changed. {_AGAIN}")


def bundle_parts(bundle: Path) -> list[Path]:
    """The files that make up a bundle, in order.

    Args:
        bundle: the whole file, the name that the parts share, or one of the parts.

    Raises:
        CommandError: neither is there, or a part is missing.
    """
    if bundle.is_file() and not _PART.fullmatch(bundle.name):
        return [bundle]
    named = _PART.fullmatch(bundle.name)
    stem = bundle.with_name(named["stem"]) if named else bundle
    found = _parts_beside(stem)
    if not found:
        raise CommandError(f"{bundle} does not exist, nor {bundle.name}.part-001-of-…. Fix: name the bundle's file")
    numbered = {int(match["number"]): path for path in found if (match := _PART.fullmatch(path.name))}
    counts = {int(match["count"]) for path in found if (match := _PART.fullmatch(path.name))}
    if len(counts) > 1:
        raise CommandError(f"{stem}: parts of different bundles lie together. Fix: remove those of the older one")
    (count,) = counts
    missing = [number for number in range(1, count + 1) if number not in numbered]
    if missing:
        raise CommandError(
            f"{stem}: part {missing[0]} of {count} is missing. "
            f"Fix: copy {stem.name}.part-{missing[0]:03}-of-{count:03} here"
        )
    return [numbered[number] for number in range(1, count + 1)]


_AGAIN = "Fix: copy the bundle again, and compare with `sha256sum -c` of its .sha256 file; else make it anew"


class _Joined(io.RawIOBase):
    """The parts read as one file."""

    def __init__(self, parts: Sequence[Path]) -> None:
        self._streams: list[IO[bytes]] = [part.open("rb") for part in parts]
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self._at < len(self._streams):
            chunk = self._streams[self._at].read(len(buffer))
            if chunk:
                buffer[: len(chunk)] = chunk
                return len(chunk)
            self._at += 1
        return 0

    def close(self) -> None:
        for stream in self._streams:
            stream.close()
        super().close()


@contextmanager
def _opened(bundle: Path) -> Iterator[tarfile.TarFile]:
    parts = bundle_parts(bundle)
    _check_part_sizes(bundle, parts)
    joined = io.BufferedReader(_Joined(parts), _CHUNK_BYTES)
    try:
        with joined, tarfile.open(fileobj=joined, mode="r|") as archive:
            yield archive
    except tarfile.ReadError as error:
        what = "is cut off" if "unexpected end" in str(error) else "is no bundle"
        raise CommandError(f"{bundle}: {what} ({error}). {_AGAIN}") from error


def _check_part_sizes(bundle: Path, parts: Sequence[Path]) -> None:
    """All parts but the last have the same size: a truncated one is named without reading gigabytes."""
    sizes = [part.stat().st_size for part in parts]
    for part, size in zip(parts[:-1], sizes, strict=False):
        if size != max(sizes):
            raise CommandError(f"{bundle}: {part.name} is cut off: {size} of {max(sizes)} bytes. {_AGAIN}")


def _manifest_in(bundle: Path, archive: tarfile.TarFile, first: tarfile.TarInfo | None) -> dict[str, Any]:
    if first is None or first.name != MANIFEST or not first.isfile():
        raise CommandError(f"{bundle}: is no bundle: it does not begin with {MANIFEST}. Fix: name a bundle's file")
    stream = archive.extractfile(first)
    assert stream is not None, "it is a file"
    try:
        manifest = json.loads(stream.read())
        schema = manifest["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{bundle}: its {MANIFEST} was changed: {error}. {_AGAIN}") from error
    if schema != SCHEMA:
        raise CommandError(
            f"{bundle}: has schema {schema}, this version of the project reads {SCHEMA}. Fix: make the bundle anew"
        )
    assert isinstance(manifest, dict)
    return manifest


def _members(bundle: Path, archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in archive:
        path = PurePosixPath(member.name)
        if not member.isfile() or path.is_absolute() or ".." in path.parts:
            raise CommandError(f"{bundle}: {member.name!r} is no plain file inside the bundle. {_AGAIN}")
        yield member


def _copy(bundle: Path, content: IO[bytes], *, member: tarfile.TarInfo, into: Path | None) -> str:
    digest, count = hashlib.sha256(), 0
    target = None if into is None else into / member.name
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
    with (Path(os.devnull) if target is None else target).open("wb") as output:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
            output.write(chunk)
            count += len(chunk)
    if count != member.size:
        raise CommandError(f"{bundle}: is cut off within {member.name}: {count} of {member.size} bytes. {_AGAIN}")
    if target is not None:
        target.chmod(member.mode & 0o755)
    return digest.hexdigest()


def _measure(content: Path | bytes) -> dict[str, Any]:
    if isinstance(content, bytes):
        return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return {"size": content.stat().st_size, "sha256": file_sha256(content)}


def _add(archive: tarfile.TarFile, *, path: str, content: Path | bytes) -> None:
    member = tarfile.TarInfo(path)
    member.mtime = _EPOCH_SECONDS
    member.mode = 0o755 if path.endswith(".sh") else 0o644
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as stream:
        member.size = len(content) if isinstance(content, bytes) else content.stat().st_size
        archive.addfile(member, stream)


def _split(whole: Path, *, output: Path, part_bytes: int) -> list[Path]:
    count = -(-whole.stat().st_size // part_bytes)
    if count > 999:
        raise CommandError(
            f"{output}: {count} parts of {part_bytes} bytes; at most 999 are possible. Fix: larger parts"
        )
    written: list[Path] = []
    try:
        with whole.open("rb") as stream:
            for number in range(1, count + 1):
                part = output.with_name(f"{output.name}.part-{number:03}-of-{count:03}")
                written.append(part)
                with part.open("wb") as target:
                    for chunk in _chunks(stream, part_bytes):
                        target.write(chunk)
    except OSError:
        for part in written:
            part.unlink(missing_ok=True)
        raise
    return written


def _chunks(stream: IO[bytes], length: int) -> Iterable[bytes]:
    while length > 0 and (chunk := stream.read(min(_CHUNK_BYTES, length))):
        length -= len(chunk)
        yield chunk


def _parts_beside(stem: Path) -> list[Path]:
    if not stem.parent.is_dir():
        return []
    found = (path for path in stem.parent.iterdir() if path.name.startswith(f"{stem.name}.part-"))
    return sorted(path for path in found if _PART.fullmatch(path.name))
