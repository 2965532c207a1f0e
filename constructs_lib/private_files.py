"""Files and folders that only their owner may read, from the first byte on, whatever the umask."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700

_LOCK_TIMEOUT_SECONDS = 60.0


def make_private_folder(path: Path) -> None:
    """Make one folder with mode 0700.

    Raises:
        OSError: It exists, or cannot be made.
    """
    path.mkdir(mode=FOLDER_MODE)
    # A umask can only take rights away; its owner must keep them.
    path.chmod(FOLDER_MODE)


def make_private_folders(path: Path) -> None:
    """Make a folder and those above it where they are missing, the new ones with mode 0700.

    Raises:
        OSError: Something else stands there, or one cannot be made.
    """
    if path.is_dir():
        return
    make_private_folders(path.parent)
    try:
        make_private_folder(path)
    except FileExistsError:
        # Another process may have been faster.
        if not path.is_dir():
            raise


def write_private_file(path: Path, content: bytes) -> None:
    """Make one file with mode 0600, written through to the disk.

    Raises:
        OSError: It exists (also as a link to nowhere), or cannot be made.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, FILE_MODE)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def replace_private_file(path: Path, content: bytes) -> None:
    """Put a file with mode 0600 in place of `path` in one step: readers see the old or the new one, never a part.

    Raises:
        OSError: The folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    write_private_file(temporary, content)
    temporary.replace(path)


def open_to_others(path: Path) -> int | None:
    """The mode of `path` when its group or others may do anything with it, else None.

    Raises:
        OSError: It does not exist.
    """
    mode = stat.S_IMODE(path.lstat().st_mode)
    return mode if mode & 0o077 else None


@contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """Hold the lock of a folder; a process that dies loses it. The folder itself is locked: no lock file stays behind.

    Raises:
        OSError: The folder cannot be opened.
        TimeoutError: Another process has held the lock for 60 seconds.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = time.monotonic() + _LOCK_TIMEOUT_SECONDS
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{path} has been locked by another process for {_LOCK_TIMEOUT_SECONDS:.0f} s; "
                    "wait for it or end it, then run again"
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
