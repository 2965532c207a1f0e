"""Network addresses and URLs as a fleet file may name them."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from stacks.fleet.problems import RuleError

_HOST_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_BASE_URL_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/\[\]@+%,=-]+")
_SECRET_PARAMETER = re.compile(r"(?:^|&)[^=&]*(?:token|secret|sig|pass|key|credential|auth)[^=&]*=", re.IGNORECASE)
ARCHIVE_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst", ".tar.bz2", ".tbz", ".tar.lz4")
"""What K3s imports from its images folder (rancher/wharfie v0.7.0, pkg/tarfile)."""


def host_address(value: str) -> str:
    """An IPv4 address, IPv6 address (in its short form) or host name (in lower case).

    Raises:
        RuleError: It is none of them, or names no single machine.
    """
    bare = value.strip().lower()
    if "://" in bare:
        raise RuleError("is a URL", fix="keep the host name or IP address only")
    if "@" in bare:
        raise RuleError(
            "holds a user name",
            fix=f"write `address: {bare.rpartition('@')[2]}` and put the user into ssh.user",
        )
    if bare.startswith("["):
        raise RuleError("has brackets", fix="write an IPv6 address without brackets, a port other than 22 as `port:`")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return _host_name(bare)
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        raise RuleError("is a link-local address with a zone", fix="use an address that all nodes can reach")
    if address.is_unspecified or address.is_multicast:
        raise RuleError("names no single machine", fix="use the machine's own address")
    return str(address)


def _host_name(name: str) -> str:
    host, colon, port = name.partition(":")
    if colon and port.isdigit():
        raise RuleError("holds a port", fix=f"write `address: {host}` and `port: {port}`")
    labels = name.removesuffix(".").split(".")
    if labels[-1].isdigit():
        raise RuleError("is no IPv4 address", fix="write four numbers from 0 to 255, like 192.0.2.11")
    if len(name) > 253 or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        raise RuleError("is neither an IP address nor a host name")
    return name.removesuffix(".")


def local_file(value: object) -> object:
    """The absolute path of a file on the machine that runs Terraform; `~` is the home of whoever runs this.

    Raises:
        RuleError: A relative path, a URL, or an unknown user after `~`.
    """
    if not isinstance(value, str):
        return value
    if "://" in value:
        raise RuleError("is a URL", fix="download it, and write the path of the file")
    try:
        path = Path(value).expanduser()
    except RuntimeError as error:
        raise RuleError(f"has no home behind it: {error}", fix="write the absolute path") from error
    if not path.is_absolute():
        raise RuleError("is a relative path", fix=f"write /…/{value} or ~/{value}")
    return path


def base_url(value: str) -> str:
    """An http or https URL that further path segments are put after; a slash at its end is dropped.

    Raises:
        RuleError: Another scheme, no host, credentials, a query or fragment, or characters no path needs.
    """
    parts = _http_url(value)
    if parts.query or parts.fragment or value.rstrip().endswith(("?", "#")):
        raise RuleError("has a query or fragment", fix="end it before `?` or `#`")
    if not _BASE_URL_CHARACTERS.fullmatch(value):
        raise RuleError("holds a character that does not belong into a URL", fix="write it as %XX")
    return value.rstrip("/")


def archive_url(value: str) -> str:
    """A `base_url` whose last part is a file name that K3s imports images from.

    Raises:
        RuleError: As for `base_url`, or the file's ending is none that K3s knows.
    """
    url = base_url(value)
    name = url.rpartition("/")[2].lower()
    if not name.endswith(ARCHIVE_ENDINGS) or name.startswith("."):
        raise RuleError(
            "is no image archive that K3s imports", fix=f"its name must end in {', '.join(ARCHIVE_ENDINGS)}"
        )
    return url


def state_url(value: str) -> str:
    """An http or https URL of a Terraform state or its lock; a query is allowed when it holds no secret.

    Raises:
        RuleError: Another scheme, no host, credentials, or a query that looks like one.
    """
    parts = _http_url(value)
    if _SECRET_PARAMETER.search(parts.query):
        raise RuleError(
            "holds a secret in its query",
            fix="set TF_HTTP_USERNAME and TF_HTTP_PASSWORD in the environment instead",
        )
    return value


def _http_url(value: str) -> SplitResult:
    if any(character.isspace() or not character.isprintable() for character in value) or "{" in value:
        raise RuleError("holds a character that does not belong into a URL", fix="write it as %XX")
    try:
        parts = urlsplit(value)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError as error:
        raise RuleError(f"is no URL: {error}") from error
    if parts.scheme not in ("http", "https"):
        what = f"has the scheme {parts.scheme}" if "://" in value else "has no scheme"
        raise RuleError(what, fix=f"begin with http:// or https://, like https://{value.rpartition('://')[2]}")
    if parts.username is not None or parts.password is not None:
        raise RuleError(
            "holds credentials, which would end up in plans, state and on the nodes",
            fix="remove them, and serve the files to the site's network without, or behind client addresses",
        )
    if not parts.hostname or not port_is_valid:
        raise RuleError("has no host" if not parts.hostname else "has port 0")
    try:
        host_address(parts.hostname)
    except RuleError as error:
        raise RuleError(f"has a host that {error.what}") from error
    return parts
