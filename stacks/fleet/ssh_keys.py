"""SSH host keys as they are pinned, and private keys as they are named."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from stacks.fleet.problems import RuleError

PREFERRED = "ecdsa-sha2-nistp256"
HOST_KEY_TYPES = (PREFERRED, "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-ed25519", "ssh-rsa")
WHERE_TO_FIND = "/etc/ssh/ssh_host_ecdsa_key.pub on the node"
"""Terraform's SSH client (golang.org/x/crypto) asks for ECDSA before RSA and ed25519, whatever is pinned."""


def host_key(value: str) -> str:
    """A public host key as `type base64`; a comment after it is dropped.

    Raises:
        RuleError: A certificate, a line of known_hosts, several keys, an unknown type, or data that are not of it.
    """
    if len(value.strip().splitlines()) > 1:
        raise RuleError("holds several lines", fix=f"keep one key: the {PREFERRED} one, if the node has it")
    words = value.split()
    kind = words[0] if words else ""
    if "-cert-v" in kind:
        raise RuleError(
            "is a certificate, not a key", fix=f"copy {WHERE_TO_FIND} (not the file that ends in -cert.pub)"
        )
    if (
        kind in ("@cert-authority", "@revoked")
        or kind.startswith("|")
        or (len(words) > 2 and words[1] in HOST_KEY_TYPES)
    ):
        raise RuleError("is a line of known_hosts", fix="keep the last two words only, `type base64`")
    if kind in ("rsa-sha2-256", "rsa-sha2-512"):
        raise RuleError("names a way to sign, not a type of key", fix=f"write ssh-rsa instead of {kind}")
    if kind not in HOST_KEY_TYPES:
        if kind.startswith(("SHA256:", "MD5:")):
            raise RuleError("is a fingerprint, not a key", fix=f"copy the first two words of {WHERE_TO_FIND}")
        raise RuleError(f'has the unknown type "{kind}"', fix=f"copy the first two words of {WHERE_TO_FIND}")
    if len(words) < 2:
        raise RuleError("has a type and no key", fix=f"copy the first two words of {WHERE_TO_FIND}")
    key = f"{kind} {words[1]}"
    _check_data(key, kind=kind, encoded=words[1])
    return key


def _check_data(key: str, *, kind: str, encoded: str) -> None:
    damaged = f"copy it again, whole and on one line, from {WHERE_TO_FIND}"
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise RuleError("is damaged: its second word is no base64", fix=damaged) from error
    length = int.from_bytes(data[:4])
    embedded = data[4 : 4 + length].decode("ascii", "replace") if length <= 64 else ""
    if embedded != kind:
        raise RuleError(
            f'says {kind}, but its data are of type "{embedded}"'
            if embedded in HOST_KEY_TYPES
            else "is damaged: its data name no type",
            fix=f"write `{embedded} …`" if embedded in HOST_KEY_TYPES else damaged,
        )
    try:
        load_ssh_public_key(key.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise RuleError("is damaged: its data are no whole key", fix=damaged) from error


def private_key_path(value: object) -> object:
    """The absolute path of a private key; `~` is the home of whoever runs this.

    Raises:
        RuleError: A relative path, a public key's path, or an unknown user after `~`.
    """
    if not isinstance(value, str):
        return value
    if "PRIVATE KEY-----" in value:
        raise RuleError("holds the key itself", fix="keep the key in a file with mode 0600 and write its path here")
    try:
        path = Path(value).expanduser()
    except RuntimeError as error:
        raise RuleError(f"has no home behind it: {error}", fix="write the absolute path") from error
    if not path.is_absolute():
        raise RuleError("is a relative path", fix=f"write /…/{value} or ~/{value}")
    if path.suffix == ".pub":
        raise RuleError("is the public half", fix=f"write {value.removesuffix('.pub')}")
    return path
