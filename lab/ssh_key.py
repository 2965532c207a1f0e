"""The SSH key that opens the lab's nodes, made once per checkout."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from lab.errors import LabError


def ensure_ssh_key(path: Path) -> str:
    """The public key as a line of authorized_keys.

    Args:
        path: the private key (0600, in a directory with 0700); made when it is not there, else left as it is.

    Raises:
        LabError: the file that is there is no unencrypted OpenSSH private key.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        key = Ed25519PrivateKey.generate()
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        unfinished.rename(path)
    try:
        public = load_ssh_private_key(path.read_bytes(), password=None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise LabError(
            f"{path} is no unencrypted OpenSSH private key ({error}); remove it, the next `lab up` makes a new one and"
            " puts it on the nodes"
        ) from error
    return f"{public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()} edge-gpu-lab\n"
