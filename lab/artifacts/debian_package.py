"""Debian packages that go into the lab's artifacts: found by apt, checked by hash, unpacked without installing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lab.artifacts.command import BuildError, require_tool, run_command
from lab.cache import build_once, content_key, file_sha256

# All that the lab unpacks: one question to apt for all takes under a second, one each would take three.
PACKAGES = ("busybox-static", "containernetworking-plugins", "libc6", "runc")

_DOWNLOAD_TIMEOUT_SECONDS = 300.0
_URI_LINE = re.compile(
    r"'(?P<url>[^']+)' (?P<file>(?P<name>[^_]+)_(?P<version>[^_]+)_\w+\.deb) \d+ SHA256:(?P<sha256>\w{64})"
)


@dataclass(frozen=True)
class DebianPackage:
    """The version of a package that this machine's apt would install.

    Attributes:
        name: package name, e.g. "runc".
        version: its full version.
        sha256: hash of the .deb, from apt's signed index.
    """

    name: str
    version: str
    sha256: str

    @property
    def source(self) -> str:
        """Where it comes from, in words for a Part."""
        return f"Debian package {self.name} {self.version}"

    def unpacked(self) -> Path:
        """The directory of the package's files (downloaded at the first call); read-only, shared.

        Raises:
            BuildError: when it cannot be downloaded or has another hash.
        """
        return build_once(name="debian-package", key=content_key("1", self.sha256), build=self._download)

    def _download(self, directory: Path) -> None:
        exact = f"{self.name}={self.version}"
        # apt's own unprivileged user may not write into the cache; root's download needs no such user.
        run_command(
            ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", exact],
            cwd=directory,
            timeout_seconds=_DOWNLOAD_TIMEOUT_SECONDS,
        )
        (archive,) = directory.glob("*.deb")
        if file_sha256(archive) != self.sha256:
            raise BuildError(f"{archive.name}: sha256 {file_sha256(archive)}, apt's index says {self.sha256}")
        run_command(["dpkg-deb", "-x", archive, directory], timeout_seconds=120)
        archive.unlink()


def debian_package(name: str) -> DebianPackage:
    """The version of a package that apt's index offers; those of PACKAGES are asked for together.

    Raises:
        BuildError: when this machine has no apt, or apt does not know the package or one of PACKAGES.
    """
    return _offered(PACKAGES if name in PACKAGES else (name,))[name]


@cache
def _offered(names: tuple[str, ...]) -> dict[str, DebianPackage]:
    require_tool("apt-get", package="a Debian or Ubuntu system; the lab's parts come from its packages")
    try:
        listed = run_command(["apt-get", "-q", "--print-uris", "download", *names], timeout_seconds=60)
    except BuildError as error:
        raise BuildError(
            f"apt does not offer all of {', '.join(names)}; run `apt-get update` first\n{error}"
        ) from error
    found = {}
    for match in _URI_LINE.finditer(listed):
        version = match["version"].replace("%3a", ":")
        found[match["name"]] = DebianPackage(name=match["name"], version=version, sha256=match["sha256"])
    missing = sorted(set(names) - set(found))
    if missing:
        raise BuildError(f"apt names no download of {', '.join(missing)}; run `apt-get update` first\n{listed}")
    return found
