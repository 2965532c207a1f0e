"""Asks a container registry which digest a tag stands for, by the distribution API; nothing is pulled."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Collection
from dataclasses import dataclass

_TIMEOUT_SECONDS = 30.0
_TOKEN_LIMIT_BYTES = 1 << 20
# An index stands for all platforms, so it is asked for first; the last two are what older images have.
_ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


class RegistryError(Exception):
    """A digest could not be had; the message says of what, why and what to do."""


@dataclass(frozen=True, slots=True)
class ImageReference:
    """`registry/repository:tag`, taken apart.

    Args:
        registry: Host, with port if any.
        repository: Path in it.
        tag: The tag.
    """

    registry: str
    repository: str
    tag: str

    @classmethod
    def parse(cls, reference: str) -> ImageReference:
        """Take a full reference apart.

        Raises:
            RegistryError: It has no registry or no tag.
        """
        found = re.fullmatch(r"([^/]+[.:][^/]*|localhost)/([^:@]+):([^:@/]+)", reference)
        if found is None:
            raise RegistryError(f"{reference!r} is not registry/repository:tag; write all three, like nvcr.io/a/b:1.0")
        return cls(*found.groups())

    def manifest_url(self, *, plain_http: Collection[str] = ()) -> str:
        """Where the registry answers for the tag. Loopback registries speak plain http, as for Docker.

        Args:
            plain_http: Further registries that do, default none.
        """
        host = "registry-1.docker.io" if self.registry == "docker.io" else self.registry
        name = host.partition(":")[0]
        scheme = "http" if name == "localhost" or name.startswith("127.") or host in plain_http else "https"
        return f"{scheme}://{host}/v2/{self.repository}/manifests/{self.tag}"


def digest_of(reference: str, *, credentials: str | None = None, plain_http: Collection[str] = ()) -> str:
    """The digest that a tag stands for now.

    Args:
        reference: `registry/repository:tag`.
        credentials: base64 of `user:password`, as Docker's config file has it. Default None: anonymous.
        plain_http: Registries asked over plain http, default none. A wrong answer is found at the next build: the
            engine pulls by this digest.

    Raises:
        RegistryError: The registry is out of reach, refuses, knows no such tag or answers with no digest.
    """
    image = ImageReference.parse(reference)
    address = image.manifest_url(plain_http=plain_http)
    headers = {"Accept": _ACCEPT}
    try:
        try:
            answer = _head(address, headers)
        except urllib.error.HTTPError as refusal:
            if refusal.code != 401:
                raise
            headers["Authorization"] = _authorization(refusal.headers.get("WWW-Authenticate", ""), credentials)
            answer = _head(address, headers)
    except urllib.error.HTTPError as refusal:
        meaning = {404: "there is no such tag", 401: "it needs a login: docker login " + image.registry}
        raise RegistryError(f"{reference}: {meaning.get(refusal.code, refusal.reason)} (HTTP {refusal.code})") from None
    except (OSError, ValueError) as error:
        raise RegistryError(f"{reference}: {image.registry} cannot be asked: {error}") from error
    digest = answer.get("Docker-Content-Digest", "")
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise RegistryError(f"{reference}: {image.registry} answers with no digest, but with {digest!r}")
    return digest


def _head(url: str, headers: dict[str, str]) -> dict[str, str]:
    request = urllib.request.Request(url, headers=headers, method="HEAD")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        return {name.title(): value for name, value in response.headers.items()}


def _authorization(challenge: str, credentials: str | None) -> str:
    """The Authorization header that a registry's challenge asks for."""
    basic = f"Basic {credentials}" if credentials else None
    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() == "basic" and basic:
        return basic
    fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    realm = fields.pop("realm", "")
    if scheme.lower() != "bearer" or not realm.startswith(("https://", "http://127.", "http://localhost")):
        raise ValueError(f"it asks for a login that is not understood: {challenge!r}")
    request = urllib.request.Request(f"{realm}?{urllib.parse.urlencode(fields)}")
    if basic:
        request.add_header("Authorization", basic)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        answer = json.loads(response.read(_TOKEN_LIMIT_BYTES))
    token = answer.get("token") or answer.get("access_token")
    if not isinstance(token, str):
        raise ValueError(f"{realm} gives no token")
    return f"Bearer {token}"
