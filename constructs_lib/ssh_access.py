"""The OpenSSH client, for programs that Terraform starts on the operator's side. Nothing here starts the CDK."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CONNECT_SECONDS = 10
ATTEMPTS = 2
_NOT_CONNECTED = 255
"""What ssh ends with for its own errors; our scripts never do."""
_ENDED = 124


@dataclass(frozen=True, kw_only=True, slots=True)
class SshResult:
    """How a command on a machine ended.

    Attributes:
        reached: False when ssh could not log in, or lost the connection.
        code: exit code of the command; 255 when not reached, 124 when it was ended after its time.
        stdout: what it printed.
        stderr: what it or ssh printed there.
    """

    reached: bool
    code: int
    stdout: str = ""
    stderr: str = ""

    @property
    def output(self) -> str:
        """Both."""
        return "\n".join(text for text in (self.stdout.strip(), self.stderr.strip()) if text)


@dataclass(frozen=True, kw_only=True, slots=True)
class SshAccess:
    """How a machine is reached, as Terraform's state remembers it (see `SshHost.identity` and `SshHost.login`).

    Attributes:
        name: node name.
        address: host name or IP address.
        port: TCP port.
        user: login name.
        host_key: `type base64`, or `any`.
        private_key_path: path, or empty for the SSH agent.
        bastion_address: empty for a direct connection.
        bastion_port: TCP port.
        bastion_user: login name there.
        bastion_host_key: `type base64`, or `any`.
    """

    name: str
    address: str
    port: str
    user: str
    host_key: str
    private_key_path: str
    bastion_address: str
    bastion_port: str
    bastion_user: str
    bastion_host_key: str

    @classmethod
    def read(cls, values: Mapping[str, str]) -> SshAccess:
        """From a mapping that may hold more.

        Raises:
            KeyError: a value is missing.
        """
        return cls(**{name: values[name] for name in cls.__slots__})

    def run(self, command: str, *, stdin: str = "", timeout_seconds: float) -> SshResult:
        """Run a shell command; the host key is checked before anything is sent.

        Args:
            command: for the login shell there; nothing secret.
            stdin: what it reads.
            timeout_seconds: when the client is ended.
        """
        result = SshResult(reached=False, code=_NOT_CONNECTED)
        with tempfile.TemporaryDirectory(prefix="edge-gpu-ssh-") as folder:
            argv = [*self._argv(Path(folder)), command]
            for _attempt in range(ATTEMPTS):
                result = _run(argv, stdin=stdin, timeout_seconds=timeout_seconds)
                if result.reached or result.code == _ENDED:
                    break
        return result

    def _argv(self, folder: Path) -> list[str]:
        argv = ["ssh", *_options(folder, alias="node", host_key=self.host_key, key=self.private_key_path)]
        if self.bastion_address:
            key = self.private_key_path
            bastion = ["ssh", *_options(folder, alias="bastion", host_key=self.bastion_host_key, key=key)]
            bastion += ["-p", self.bastion_port, "-l", self.bastion_user, "-W", "[%h]:%p", self.bastion_address]
            argv += ["-o", f"ProxyCommand={shlex.join(bastion)}"]
        return [*argv, "-p", self.port, "-l", self.user, self.address]


def _options(folder: Path, *, alias: str, host_key: str, key: str) -> list[str]:
    known = folder / alias
    known.write_text("" if host_key == "any" else f"{alias} {host_key}\n")
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": str(CONNECT_SECONDS),
        "ServerAliveInterval": "10",
        "ServerAliveCountMax": "3",
        "LogLevel": "ERROR",
        "ControlPath": "none",
        "HostKeyAlias": alias,
        "UserKnownHostsFile": str(known),
        "GlobalKnownHostsFile": os.devnull,
        "StrictHostKeyChecking": "no" if host_key == "any" else "yes",
    }
    if key:
        options |= {"IdentitiesOnly": "yes", "IdentityAgent": "none"}
    argv = ["-F", "none", "-T"]
    for name, value in options.items():
        argv += ["-o", f"{name}={value}"]
    return [*argv, "-i", key] if key else argv


def _run(argv: list[str], *, stdin: str, timeout_seconds: float) -> SshResult:
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except FileNotFoundError:
        return SshResult(
            reached=False,
            code=_NOT_CONNECTED,
            stderr="no ssh here; install it: apt-get install openssh-client",
        )
    except subprocess.TimeoutExpired as error:
        return SshResult(
            reached=False,
            code=_ENDED,
            stdout=_text(error.stdout),
            stderr=f"{_text(error.stderr)}\nno end after {timeout_seconds:.0f} s".strip(),
        )
    return SshResult(
        reached=done.returncode != _NOT_CONNECTED, code=done.returncode, stdout=done.stdout, stderr=done.stderr
    )


def _text(said: bytes | str | None) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said or ""
