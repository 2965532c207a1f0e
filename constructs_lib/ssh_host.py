"""How Terraform reaches a machine over SSH."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from constructs_lib.cdk import SSHProvisionerConnection, Token
from constructs_lib.struct_values import later, made

SCRIPT_PATH = "./.edge-gpu-%RAND%.sh"
"""Terraform's own one-line scripts go into the user's home, not into /tmp (they are mode 0777)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SshBastion:
    """A jump host in front of a machine.

    Args:
        address: Host name or IP address.
        user: Login name.
        host_key: Public host key, `type base64`. None accepts any key: anyone in between can then read along.
        port: TCP port, default 22.
    """

    address: str
    user: str
    host_key: str | None
    port: int = 22


@dataclass(frozen=True, kw_only=True, slots=True)
class SshHost:
    """A machine that Terraform reaches over SSH as a user who may use `sudo` without a password.

    Args:
        address: Host name or IP address, as seen from the machine that runs Terraform (or from the bastion).
        user: Login name.
        host_key: Public host key, `type base64`. Terraform's SSH client asks for ECDSA before RSA and ed25519,
            so pin the `ecdsa-sha2-nistp256` key where the machine has one. None accepts any key and is only
            for throw-away machines.
        port: TCP port, default 22.
        private_key_path: Absolute path of the private key on the machine that runs Terraform. It is read at
            apply and is in no plan or state. Default None: the SSH agent is asked.
        bastion: Jump host. Default None: a direct connection.
        connect_timeout_seconds: How long to try to connect before the step fails, default 60.

    Raises:
        ValueError: `private_key_path` is not absolute (Terraform runs in another folder).
    """

    address: str
    user: str
    host_key: str | None
    port: int = 22
    private_key_path: Path | None = None
    bastion: SshBastion | None = None
    connect_timeout_seconds: int = 60

    def __post_init__(self) -> None:
        if self.private_key_path is not None and not self.private_key_path.is_absolute():
            raise ValueError(
                f"SshHost {self.address!r}: private_key_path must be absolute, got {str(self.private_key_path)!r}; "
                "pass Path(...).expanduser().resolve()"
            )

    def identity(self) -> dict[str, str]:
        """What makes this the same machine: a change of any of these means that its steps run again."""
        return {"address": self.address, "port": str(self.port), "host_key": self.host_key or "any"}

    def connection(self) -> SSHProvisionerConnection:
        """The connection block for provisioners that run at create."""
        connection: SSHProvisionerConnection = made(_connection(self))
        return connection

    def connection_later(self) -> SSHProvisionerConnection:
        """The same for a `TerraformData`, see `later`."""
        return _connection(self)

    def login(self) -> dict[str, str]:
        """How an operator logs in, as plain values that `connection_from_state` reads back; no secret."""
        bastion = self.bastion
        return {
            "user": self.user,
            "private_key_path": str(self.private_key_path or ""),
            "bastion_address": bastion.address if bastion else "",
            "bastion_port": str(bastion.port) if bastion else "22",
            "bastion_user": bastion.user if bastion else "",
            "bastion_host_key": (bastion.host_key or "any") if bastion else "any",
        }

    def connection_from_state(self) -> SSHProvisionerConnection:
        """The connection block for provisioners that run at destroy, where only the resource itself can be read.

        The resource must hold `identity()` as its triggers and `login()` as its input.
        """
        key = '${self.output.private_key_path == "" ? null : file(self.output.private_key_path)}'
        bastion_address = '${self.output.bastion_address == "" ? null : self.output.bastion_address}'
        return SSHProvisionerConnection(
            type="ssh",
            host="${self.triggers_replace.address}",
            port=_number("${self.triggers_replace.port}"),
            user="${self.output.user}",
            host_key=_unless_any("self.triggers_replace.host_key"),
            private_key=key,
            agent='${self.output.private_key_path == ""}',
            script_path=SCRIPT_PATH,
            timeout=f"{self.connect_timeout_seconds}s",
            bastion_host=bastion_address,
            bastion_port=_number("${self.output.bastion_port}"),
            bastion_user="${self.output.bastion_user}",
            bastion_host_key=_unless_any("self.output.bastion_host_key"),
            bastion_private_key=key,
        )


def _connection(host: SshHost) -> SSHProvisionerConnection:
    key = file_contents(host.private_key_path) if host.private_key_path else None
    bastion = host.bastion
    return later(
        SSHProvisionerConnection,
        type="ssh",
        host=host.address,
        port=host.port,
        user=host.user,
        host_key=host.host_key,
        private_key=key,
        agent="false" if key else "true",
        script_path=SCRIPT_PATH,
        timeout=f"{host.connect_timeout_seconds}s",
        bastion_host=bastion.address if bastion else None,
        bastion_port=bastion.port if bastion else None,
        bastion_user=bastion.user if bastion else None,
        bastion_host_key=bastion.host_key if bastion else None,
        bastion_private_key=key if bastion else None,
    )


@cache
def _number(expression: str) -> float:
    """A number that Terraform works out; the same token for the same expression, since each is a round trip."""
    return Token.as_number(expression)


def _unless_any(value: str) -> str:
    return f'${{{value} == "any" ? null : {value}}}'


def file_contents(path: Path) -> str:
    """A Terraform expression that reads `path` when it is needed, so that the content is in no synthesized file.

    Args:
        path: Absolute path on the machine that runs Terraform.
    """
    return f"${{file({json.dumps(str(path))})}}"
