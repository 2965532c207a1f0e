"""A cache of builds keyed by their inputs: a build is there whole or not at all, and one process at a time makes it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

CACHE_VARIABLE = "EDGE_GPU_CACHE"

_BUILDING = ".building-"
_CHUNK_BYTES = 1 << 20
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_KEY = re.compile(r"[0-9a-f]{8,64}")
_LOCK_POLL_SECONDS = 0.2
_SAY_WAITING_AFTER_SECONDS = 2.0


_cached_only = ContextVar("cached_only", default=False)


class CacheError(Exception):
    """A build could not be had from the cache; the message says which, why and what to do."""


class NotCachedError(CacheError):
    """Within cached_only(): a build is not in the cache."""


def cache_root() -> Path:
    """The directory of all builds: $EDGE_GPU_CACHE when set, else ~/.cache/edge-gpu; made when absent.

    Raises:
        CacheError: when $EDGE_GPU_CACHE is not an absolute path or the directory cannot be made.
    """
    configured = os.environ.get(CACHE_VARIABLE)
    root = Path(configured) if configured else Path.home() / ".cache" / "edge-gpu"
    if not root.is_absolute():
        raise CacheError(f"{CACHE_VARIABLE}={configured!r} is a relative path; set an absolute one or unset it")
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheError(
            f"the cache directory {root} cannot be made: {error}; set {CACHE_VARIABLE} to a writable place"
        ) from error
    return root


def content_key(*parts: bytes | str | Path) -> str:
    """The cache key of a build's inputs: 32 hex digits, the same wherever the checkout lies.

    Args:
        parts: text and bytes count as they are; a Path counts by what is there: a file's bytes and execute
            bit, a directory's relative names and all below it (without __pycache__), a link's target. Names and
            order matter, times and owners do not.

    Raises:
        CacheError: when a path does not exist or is neither file, directory nor link.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            _hash_path(digest, part)
        else:
            data = part.encode() if isinstance(part, str) else part
            digest.update(b"%s %d:" % (b"str" if isinstance(part, str) else b"bytes", len(data)) + data)
    return digest.hexdigest()[:32]


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def build_once(
    *,
    name: str,
    key: str,
    build: Callable[[Path], None],
    lock_timeout_seconds: float = 3600.0,
) -> Path:
    """The directory of a finished build; built now when it is not in the cache.

    Args:
        name: what is built, e.g. "k3s"; lower-case letters, digits, dot, dash, underscore.
        key: content_key() of everything the result depends on, the recipe's own version included.
        build: called with an empty directory to fill. When it raises, nothing is kept and the error passes on.
        lock_timeout_seconds: how long to wait for another process that makes the same build (default one hour).

    Returns:
        <cache>/<name>/<key>. Treat it as read-only: others share it.

    Raises:
        CacheError: on a malformed name or key, or when the lock is not had in time.
    """
    if not _NAME.fullmatch(name) or not _KEY.fullmatch(key):
        raise CacheError(f"cache entry {name!r}/{key!r}: the name must match {_NAME.pattern}, the key {_KEY.pattern}")
    shelf = cache_root() / name
    finished = shelf / key
    if finished.is_dir():
        return finished
    if _cached_only.get():
        raise NotCachedError(f"{name}: {key} is not built yet")
    shelf.mkdir(exist_ok=True)
    with _locked(shelf, key, timeout_seconds=lock_timeout_seconds):
        if finished.is_dir():
            return finished
        _remove_dead_builds(shelf, own_key=key)
        unfinished = shelf / f"{_BUILDING}{key}"
        unfinished.mkdir()
        try:
            build(unfinished)
            _flush(unfinished)
            unfinished.rename(finished)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return finished


@contextmanager
def cached_only() -> Iterator[None]:
    """Within the block, in this thread, build_once() raises NotCachedError instead of building."""
    token = _cached_only.set(True)
    try:
        yield
    finally:
        _cached_only.reset(token)


def _hash_path(digest: hashlib._Hash, path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError as error:
        raise CacheError(f"an input of a build is missing: {path}") from error
    if stat.S_ISLNK(mode):
        target = os.fsencode(path.readlink())
        digest.update(b"link %d:" % len(target) + target)
    elif stat.S_ISDIR(mode):
        children = sorted(child for child in path.iterdir() if child.name != "__pycache__")
        digest.update(b"dir %d:" % len(children))
        for child in children:
            name = os.fsencode(child.name)
            digest.update(b"name %d:" % len(name) + name)
            _hash_path(digest, child)
    elif stat.S_ISREG(mode):
        digest.update(b"file %d %d:" % (bool(mode & stat.S_IXUSR), path.stat().st_size))
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    else:
        raise CacheError(f"an input of a build is neither file, directory nor link: {path}")


def _lock_path(shelf: Path, key: str) -> Path:
    return shelf / f".lock-{key}"


@contextmanager
def _locked(shelf: Path, key: str, *, timeout_seconds: float) -> Iterator[None]:
    # The kernel drops an flock when its process dies, so a killed build never blocks the next one.
    path = _lock_path(shelf, key)
    with path.open("a+") as lock:
        started = time.monotonic()
        said = False
        while not _try_lock(lock.fileno()):
            waited = time.monotonic() - started
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            if waited > timeout_seconds:
                raise CacheError(
                    f"{shelf.name}: process {holder} has been building {key} for more than {timeout_seconds:.0f} s"
                    f" (lock {path}); wait for it or end it, then run again"
                )
            if waited > _SAY_WAITING_AFTER_SECONDS and not said:
                print(f"{shelf.name}: waiting for process {holder}, which builds the same", file=sys.stderr, flush=True)
                said = True
            time.sleep(_LOCK_POLL_SECONDS)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_dead_builds(shelf: Path, *, own_key: str) -> None:
    """Remove what killed builds left; a build is dead when its lock is free (its own is held by the caller)."""
    for leftover in shelf.glob(f"{_BUILDING}*"):
        key = leftover.name.removeprefix(_BUILDING)
        if key == own_key:
            shutil.rmtree(leftover)
            continue
        with _lock_path(shelf, key).open("a+") as lock:
            if _try_lock(lock.fileno()):
                shutil.rmtree(leftover)


def _flush(directory: Path) -> None:
    # Without this a power cut soon after the rename could leave whole-looking files of zeros.
    for parent, _, names in os.walk(directory):
        for name in names:
            path = Path(parent, name)
            if path.is_symlink() or not path.is_file():
                continue
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
