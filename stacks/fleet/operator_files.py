"""What a fleet file names on the operator's machine."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

from stacks.fleet.problems import FleetError, Problem

if TYPE_CHECKING:
    from stacks.fleet.model import Fleet

_AGENT_TIMEOUT_SECONDS = 5.0
# draft-miller-ssh-agent: SSH_AGENTC_REQUEST_IDENTITIES as a whole message, and SSH_AGENT_IDENTITIES_ANSWER.
_LIST_KEYS = b"\x00\x00\x00\x01\x0b"
_KEYS_ANSWER = 12


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
    address = os.environ.get("SSH_AUTH_SOCK", "")
    if not address:
        what = "no SSH agent is there"
    else:
        try:
            keys = _keys_in_agent(address)
        except OSError as error:
            what = f"the SSH agent does not answer: {error.strerror or error}"
        else:
            if keys:
                return None
            what = "the SSH agent has no key"
    return Problem(
        path=("ssh", "agent"),
        what=what,
        given=f"SSH_AUTH_SOCK={address or '(not set)'}",
        fix='run `eval "$(ssh-agent)"` and `ssh-add`, or name ssh.private_key_path instead',
    )


def _keys_in_agent(address: str) -> int:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_AGENT_TIMEOUT_SECONDS)
        connection.connect(address)
        connection.sendall(_LIST_KEYS)
        # Length, kind of answer, number of keys.
        answer = connection.recv(9, socket.MSG_WAITALL)
    if len(answer) < 9 or answer[4] != _KEYS_ANSWER:
        raise OSError(None, "not with a list of keys")
    return int.from_bytes(answer[5:9])


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
        # The documented answer to an encrypted key without a password.
        return "has a passphrase, which Terraform cannot ask for", "ssh-add the key and write `agent: true` instead"
    except (ValueError, UnsupportedAlgorithm):
        return "is no private key", "name the file that ssh-keygen made, not the one that ends in .pub"
    return None
