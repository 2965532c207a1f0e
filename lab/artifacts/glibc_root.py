"""The root directory of a minimal image that holds a whole glibc, as NVML and its clients need it."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.artifacts.debian_package import debian_package
from lab.cache import content_key

LIBRARIES = Path("usr/lib/x86_64-linux-gnu")


def lay_out_glibc(root: Path) -> None:
    """Put this system's glibc into an empty root with merged /usr.

    All of its shared objects: with libc and libm alone, NVML fails with ERROR_LIBRARY_NOT_FOUND.

    Args:
        root: an existing directory.

    Raises:
        BuildError: when the libc6 package cannot be had.
    """
    package = debian_package("libc6").unpacked()
    for directory in ("usr/bin", "usr/lib64", LIBRARIES, "etc", "tmp", "dev", "proc", "sys", "run", "var"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / name).symlink_to("usr/bin" if name == "sbin" else f"usr/{name}")
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")
    libraries = package / "lib" / "x86_64-linux-gnu"
    if not libraries.is_dir():
        libraries = package / LIBRARIES
    for library in libraries.glob("*.so*"):
        shutil.copy(library, root / LIBRARIES / library.name, follow_symlinks=False)
    (root / "usr/lib64/ld-linux-x86-64.so.2").symlink_to("../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")


def glibc_key() -> str:
    """The part of a content key that stands for lay_out_glibc()."""
    return content_key(Path(__file__), debian_package("libc6").sha256)
