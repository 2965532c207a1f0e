"""Which K3s to install and where from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

RELEASES_URL = "https://github.com/k3s-io/k3s/releases/download"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageArchive:
    """A tar of container images that K3s imports on every node, for images that no registry serves.

    Args:
        url: http or https address of a `docker save` or OCI archive; its last part becomes the file's name.
        sha256: Of the archive, 64 hex digits.
    """

    url: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class K3sRelease:
    """An exact K3s version with the checksums of its binaries.

    Args:
        version: Release tag, for example `v1.36.2+k3s1`.
        sha256: Checksum of the binary by architecture (`amd64`, `arm64`), from the release's `sha256sum-*.txt`.
        artifact_url: Address that holds one folder a version, laid out like the default, K3s's GitHub releases.
        image_archives: Archives to import on every node, default none.
    """

    version: str
    sha256: Mapping[str, str]
    artifact_url: str = RELEASES_URL
    image_archives: tuple[ImageArchive, ...] = field(default=())

    def binary_url(self, *, architecture: str) -> str:
        """Address of the binary for `architecture` (`amd64` or `arm64`)."""
        name = "k3s" if architecture == "amd64" else f"k3s-{architecture}"
        return f"{self.artifact_url.rstrip('/')}/{quote(self.version, safe='')}/{name}"

    def binary_sha256(self, *, architecture: str) -> str:
        """Checksum of the binary for `architecture`.

        Raises:
            ValueError: No checksum was given for it.
        """
        if architecture not in self.sha256:
            known = ", ".join(sorted(self.sha256)) or "none"
            folder = f"{self.artifact_url.rstrip('/')}/{quote(self.version, safe='')}"
            raise ValueError(
                f"K3s {self.version}: no sha256 for {architecture}, only for {known}; "
                f"take it from {folder}/sha256sum-{architecture}.txt"
            )
        return self.sha256[architecture]
