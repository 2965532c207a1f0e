"""A signed flat apt repository, laid out as NVIDIA's own is, and the key that signs it."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.artifacts.command import require_tool, run_command
from lab.cache import build_once, content_key, file_sha256

# Where it lies under the site's /apt: <repository>/<architecture>/ and the key, as nvidia.github.io has them.
REPOSITORY = "stable/deb"
PUBLIC_KEY = "gpgkey"

_RECIPE = Path(__file__)
_KEY_OWNER = "edge-gpu lab package signing (stand-in for NVIDIA's key)"
_GPG_TIMEOUT_SECONDS = 120.0
_RELEASE_DATE = "Tue, 14 Nov 2023 22:13:20 UTC"


def build_apt_repository(*, packages: Path) -> Path:
    """A directory with `stable/deb/amd64/{*.deb,Packages,Packages.gz,Release,InRelease,Release.gpg}` and `gpgkey`.

    Signed anew only when a package or the key changes. The key is made once per cache and never leaves it.

    Args:
        packages: a directory of .deb files.

    Raises:
        BuildError: when gpg is missing or a command fails.
    """
    require_tool("gpg", package="gnupg")
    signing_key = build_once(name="apt-signing-key", key=content_key(_KEY_OWNER), build=_make_key)

    def build(directory: Path) -> None:
        folder = directory / REPOSITORY / "amd64"
        folder.mkdir(parents=True)
        for package in sorted(packages.glob("*.deb")):
            os.link(package, folder / package.name)
        index = "\n".join(_index_entry(package) for package in sorted(folder.glob("*.deb"))).encode()
        (folder / "Packages").write_bytes(index)
        (folder / "Packages.gz").write_bytes(gzip.compress(index, mtime=0))
        (folder / "Release").write_text(_release(folder))
        _sign(folder, signing_key=signing_key)
        shutil.copyfile(signing_key / "public.asc", directory / PUBLIC_KEY)

    return build_once(
        name="apt-repository", key=content_key(_RECIPE, packages, signing_key / "public.asc"), build=build
    )


def _index_entry(package: Path) -> str:
    control = run_command(["dpkg-deb", "-f", package], timeout_seconds=30).strip()
    # Of all fields only Description spans lines, and apt wants the added fields before it ends.
    return f"{control}\nFilename: ./{package.name}\nSize: {package.stat().st_size}\nSHA256: {file_sha256(package)}\n"


def _release(folder: Path) -> str:
    lines = [
        "Origin: edge-gpu lab",
        "Label: edge-gpu lab mirror of NVIDIA's container toolkit packages",
        "Architectures: amd64",
        f"Date: {_RELEASE_DATE}",
        "SHA256:",
    ]
    for name in ("Packages", "Packages.gz"):
        content = (folder / name).read_bytes()
        lines.append(f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}")
    return "\n".join(lines) + "\n"


@contextmanager
def _gpg_home() -> Iterator[list[str | Path]]:
    """A gpg command line with a home of its own; its agent ends with the block.

    The home is a short path outside the cache: gpg-agent's socket lies in it, and a socket's path may have 108 bytes.
    """
    with tempfile.TemporaryDirectory(prefix="gpg-") as home:
        try:
            yield ["gpg", "--homedir", home, "--batch", "--no-tty", "--quiet", "--pinentry-mode", "loopback"]
        finally:
            run_command(["gpgconf", "--homedir", home, "--kill", "all"], timeout_seconds=_GPG_TIMEOUT_SECONDS)


def _make_key(directory: Path) -> None:
    directory.chmod(0o700)
    with _gpg_home() as gpg:
        run_command(
            [*gpg, "--passphrase", "", "--quick-generate-key", _KEY_OWNER, "ed25519", "sign", "never"],
            timeout_seconds=_GPG_TIMEOUT_SECONDS,
        )
        secret = run_command([*gpg, "--armor", "--export-secret-keys"], timeout_seconds=_GPG_TIMEOUT_SECONDS)
        public = run_command([*gpg, "--armor", "--export"], timeout_seconds=_GPG_TIMEOUT_SECONDS)
    with open(directory / "secret.asc", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as stream:
        stream.write(secret)
    (directory / "public.asc").write_text(public)


def _sign(folder: Path, *, signing_key: Path) -> None:
    with _gpg_home() as gpg:
        run_command([*gpg, "--import", signing_key / "secret.asc"], timeout_seconds=_GPG_TIMEOUT_SECONDS)
        release = folder / "Release"
        for mode, output in (("--clearsign", "InRelease"), ("--detach-sign", "Release.gpg")):
            run_command(
                [*gpg, "--armor", mode, "--output", folder / output, release], timeout_seconds=_GPG_TIMEOUT_SECONDS
            )
