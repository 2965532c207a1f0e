"""What a fleet file names on the operator's machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

from stacks.fleet.problems import FleetError, Problem

if TYPE_CHECKING:
    from stacks.fleet.model import Fleet


def check(fleet: Fleet) -> None:
    """See that Terraform will be able to log in with what `ssh` names.

    Raises:
        FleetError: It will not.
    """
    key = fleet.ssh.private_key_path
    problem = _agent_problem() if key is None else _key_problem(key)
    if problem is not None:
        raise FleetError(source=f"fleet {fleet.name}", problems=[problem])


def _agent_problem() -> Problem | None:
    socket = os.environ.get("SSH_AUTH_SOCK", "")
    if socket and Path(socket).is_socket():
        return None
    return Problem(
        path=("ssh", "agent"),
        what="no SSH agent is there" if not socket else "the SSH agent is gone",
        given=f"SSH_AUTH_SOCK={socket or '(not set)'}",
        fix='run `eval "$(ssh-agent)" && ssh-add`, or name ssh.private_key_path instead',
    )


def _key_problem(path: Path) -> Problem | None:
    try:
        mode = path.stat().st_mode
        data = path.read_bytes() if stat.S_ISREG(mode) else b""
    except OSError as error:
        what, fix = (
            f"cannot be read: {error.strerror}",
            "correct the path, or make a key: ssh-keygen -t ed25519 -N '' -f FILE",
        )
    else:
        if not stat.S_ISREG(mode):
            what, fix = "is no file", "name the private key itself"
        elif mode & 0o077:
            what, fix = f"is open to others: mode {stat.S_IMODE(mode):04o}", f"run: chmod 0600 {path}"
        else:
            found = _content_problem(data)
            if found is None:
                return None
            what, fix = found
    return Problem(path=("ssh", "private_key_path"), what=what, given=str(path), fix=fix)


def _content_problem(data: bytes) -> tuple[str, str] | None:
    load = load_ssh_private_key if b"BEGIN OPENSSH PRIVATE KEY" in data else load_pem_private_key
    try:
        load(data, password=None)
    except TypeError:
        return (
            "has a passphrase, which Terraform cannot ask for",
            "ssh-add the key and write `agent: true` instead",
        )
    except (ValueError, UnsupportedAlgorithm):
        if b"ENCRYPTED" in data:
            return (
                "has a passphrase, which Terraform cannot ask for",
                "ssh-add the key and write `agent: true` instead",
            )
        return "is no private key", "name the file that ssh-keygen made, not the one that ends in .pub"
    return None
