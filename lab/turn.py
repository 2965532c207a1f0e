"""One command at a time changes a lab."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lab.cache import cache_root
from lab.errors import LabError
from lab.progress import Progress
from lab.settings import LabSettings

# A first `lab up` builds for a quarter of an hour.
_TIMEOUT_SECONDS = 3600.0
_POLL_SECONDS = 0.2


@contextmanager
def only_one(settings: LabSettings, *, progress: Progress, timeout_seconds: float = _TIMEOUT_SECONDS) -> Iterator[None]:
    """Run the block while no other process changes this lab; waits for one that does.

    Args:
        settings: the lab.
        progress: says that and on what it waits.
        timeout_seconds: for how long (default one hour).

    Raises:
        LabError: the other one did not end in time.
    """
    path = cache_root() / f"{settings.name}.lock"
    # The kernel drops the lock when its holder dies: nobody has to remove anything after a crash.
    with path.open("a") as lock:
        deadline = time.monotonic() + timeout_seconds
        said = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LabError(
                        f"another process has been changing the lab {settings.name} for more than"
                        f" {timeout_seconds:.0f} s (lock {path}); wait for it or end it, then run again"
                    ) from None
            if not said:
                progress.note(f"...   waiting for another process that changes the lab {settings.name}")
                said = True
            time.sleep(_POLL_SECONDS)
        yield
