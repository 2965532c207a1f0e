"""Small stand-ins of Debian packages under the names that the Dockerfiles install, and repositories of them."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from lab.artifacts.command import run_command

VERSION = "99:0~stand-in"
_GPG = ("gpg", "--batch", "--no-tty", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "")


def write_package(folder: Path, name: str, *, files: Mapping[str, str] | None = None, version: str = VERSION) -> Path:
    """A package that says what it is; the path of its .deb.

    Args:
        folder: where the .deb goes.
        name: package name.
        files: content by path from the root; those in a bin folder are executable. Default none.
        version: default one that is newer than what any real package breaks.
    """
    tree = folder / f".{name}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: edge-gpu lab <lab@example.invalid>\n"
        f"Description: stand-in of {name} for the tests of the images\n"
    )
    for path, content in (files or {}).items():
        target = tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        target.chmod(0o755 if "bin" in target.parent.name else 0o644)
    output = folder / f"{name}_{re.sub('[:~]', '', version)}_all.deb"
    run_command(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, output], timeout_seconds=60)
    shutil.rmtree(tree)
    return output


def installed_by(dockerfiles: Iterable[Path]) -> set[str]:
    """The names that `apt-get install` gets in these Dockerfiles, variables left out."""
    names: set[str] = set()
    for dockerfile in dockerfiles:
        text = dockerfile.read_text().replace("\\\n", " ")
        for line in re.findall(r"apt-get install -y --no-install-recommends (.*)", text):
            names |= {word for word in line.split() if re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", word)}
    return names


class SigningKey:
    """An OpenPGP key in a home of its own.

    Args:
        home: an empty folder with a short path: gpg-agent's socket lies in it.
        owner: what the key says of itself.
    """

    def __init__(self, home: Path, *, owner: str) -> None:
        home.mkdir(mode=0o700)
        self._gpg = [*_GPG, "--homedir", str(home)]
        self._home = home
        run_command([*self._gpg, "--quick-generate-key", owner, "ed25519", "sign", "never"], timeout_seconds=60)
        self.armored = run_command([*self._gpg, "--armor", "--export"], timeout_seconds=60)

    def sign(self, release: Path) -> None:
        """Write InRelease beside a Release file."""
        signed = release.with_name("InRelease")
        run_command([*self._gpg, "--clearsign", "--yes", "--output", signed, release], timeout_seconds=60)

    @property
    def fingerprint(self) -> str:
        """40 hex digits."""
        listed = run_command([*self._gpg, "--list-keys", "--with-colons"], timeout_seconds=30)
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))

    def end(self) -> None:
        """End its agent."""
        run_command(["gpgconf", "--homedir", self._home, "--kill", "all"], timeout_seconds=60)


def write_repository(root: Path, *, packages: Iterable[Path], key: SigningKey, suite: str | None = None) -> None:
    """A signed repository.

    Args:
        root: its folder.
        packages: .deb files.
        key: signs it.
        suite: with component main. Default None: a flat repository.
    """
    index = ""
    (root / "pool").mkdir(parents=True, exist_ok=True)
    for package in sorted(packages):
        shutil.copy(package, root / "pool" / package.name)
        control = run_command(["dpkg-deb", "-f", package], timeout_seconds=30).strip()
        data = package.read_bytes()
        index += f"{control}\nFilename: pool/{package.name}\nSize: {len(data)}\n"
        index += f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n"
    top = root / "dists" / suite if suite is not None else root
    files = (
        {"main/binary-amd64/Packages": index, "main/source/Sources": ""} if suite is not None else {"Packages": index}
    )
    lines = [
        f"Suite: {suite or 'flat'}", f"Codename: {suite or 'flat'}", "Components: main", "Architectures: amd64 all",
        "Date: Tue, 14 Nov 2023 22:13:20 UTC", "SHA256:",
    ]  # fmt: skip
    for name, content in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        lines.append(f" {hashlib.sha256(content.encode()).hexdigest()} {len(content.encode())} {name}")
    (top / "Release").write_text("\n".join(lines) + "\n")
    key.sign(top / "Release")
