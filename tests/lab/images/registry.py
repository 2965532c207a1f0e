"""A registry on this machine: Debian's docker-registry, unpacked and not installed."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.artifacts.command import run_command
from lab.cache import build_once, content_key


@contextmanager
def local_registry(folder: Path, *, address: str) -> Iterator[str]:
    """Serve an empty registry over plain http while the block runs; its `host:port`.

    Args:
        folder: an empty folder for its content.
        address: `host:port` of this machine, free.
    """
    program = _program()
    host, _, port = address.partition(":")
    settings = folder / "config.yml"
    settings.write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{address}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
    )
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([program, "serve", settings], stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"no registry at {address}: {log.read_text()}")
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=10)


def _program() -> Path:
    package = "docker-registry"
    # apt checks what it downloads by the hash in its signed index.
    version = run_command(["apt-cache", "show", "--no-all-versions", package], timeout_seconds=60)

    def make(directory: Path) -> None:
        download = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package]
        run_command(download, cwd=directory, timeout_seconds=300)
        (archive,) = directory.glob("*.deb")
        run_command(["dpkg-deb", "-x", archive, directory], timeout_seconds=60)
        archive.unlink()

    return build_once(name=package, key=content_key("1", version), build=make) / "usr" / "bin" / package
