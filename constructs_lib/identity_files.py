"""Which files make a cluster identity, and new ones of them."""

from __future__ import annotations

import datetime
import hashlib
import secrets

from constructs_lib.certificate_authority import (
    Authority,
    certificate_pem,
    key_pem,
    new_ec_key,
    new_service_account_key,
)

FOLDERS = ("admin", "agent", "server", "server/tls", "server/tls/etcd")

AUTHORITIES = {
    "server-ca": "k3s-server-ca",
    "client-ca": "k3s-client-ca",
    "request-header-ca": "k3s-request-header-ca",
    "etcd/peer-ca": "etcd-peer-ca",
    "etcd/server-ca": "etcd-server-ca",
}
"""Certificate authorities by their place below `server/tls`, with the names that K3s gives its own. It asks for those
of etcd also where it runs none."""

FILES = (
    "admin/server-ca.crt",
    "admin/client.crt",
    "admin/client.key",
    "admin/kubeconfig",
    "agent/token",
    "server/token",
    "server/agent-token",
    "server/tls/service.key",
    *(f"server/tls/{authority}.{ending}" for authority in AUTHORITIES for ending in ("crt", "key")),
)

_PASSWORD_BYTES = 32


def ca_hash(server_ca: bytes) -> str:
    """What K3s calls the CA hash of a token: sha256 over the bytes of the server authority's file.

    Source: k3s-io/k3s pkg/clientaccess/token.go, hashCA; true of a file with one certificate, as ours.
    """
    return hashlib.sha256(server_ca).hexdigest()


def new_identity_files(*, kubeconfig: bytes, now: datetime.datetime) -> dict[str, bytes]:
    """The content of all FILES of a new identity; every key and password in them is new.

    Args:
        kubeconfig: Content of `admin/kubeconfig`.
        now: When the certificates begin.
    """
    authorities = {
        path: Authority.create(common_name=f"{name}@{int(now.timestamp())}", now=now)
        for path, name in AUTHORITIES.items()
    }
    files: dict[str, bytes] = {"admin/kubeconfig": kubeconfig}
    for path, authority in authorities.items():
        files[f"server/tls/{path}.crt"] = certificate_pem(authority.certificate)
        files[f"server/tls/{path}.key"] = key_pem(authority.key)
    files["server/tls/service.key"] = key_pem(new_service_account_key())
    admin_key = new_ec_key()
    files["admin/server-ca.crt"] = files["server/tls/server-ca.crt"]
    files["admin/client.crt"] = certificate_pem(authorities["client-ca"].issue_admin(admin_key.public_key(), now=now))
    files["admin/client.key"] = key_pem(admin_key)
    files.update(new_tokens(server_ca=files["server/tls/server-ca.crt"]))
    return files


def new_tokens(*, server_ca: bytes) -> dict[str, bytes]:
    """The content of the three token files, with new passwords.

    Args:
        server_ca: Content of `server/tls/server-ca.crt`, which the tokens vouch for.
    """
    secure = f"K10{ca_hash(server_ca)}::"
    agent_password = secrets.token_hex(_PASSWORD_BYTES)
    return {
        "server/token": f"{secure}server:{secrets.token_hex(_PASSWORD_BYTES)}\n".encode(),
        "server/agent-token": f"{agent_password}\n".encode(),
        "agent/token": f"{secure}node:{agent_password}\n".encode(),
    }
