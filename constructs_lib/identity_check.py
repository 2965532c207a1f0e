"""Whether the files of a cluster identity are all there, closed to others, fit together and are still valid."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from constructs_lib.identity_files import AUTHORITIES, FILES, FOLDERS, ca_hash
from constructs_lib.private_files import open_to_others

SHORTEST_VALIDITY = datetime.timedelta(days=1)
"""A certificate that ends sooner could end in the middle of a deploy."""

_RESTORE = "fix: restore the folder from a backup"
_ADMIN = "admin/client"
_PAIRS = (_ADMIN, *(f"server/tls/{authority}" for authority in AUTHORITIES))


class IdentityError(ValueError):
    """A cluster identity that cannot be used; `str()` has every problem and its fix.

    Args:
        directory: Its folder.
        problems: At least one.
    """

    def __init__(self, directory: Path, problems: Sequence[str]) -> None:
        super().__init__("\n".join([f"cluster identity {directory} cannot be used", *(f"  {one}" for one in problems)]))


def problems_of(directory: Path, *, now: datetime.datetime) -> list[str]:
    """Everything that is wrong with an identity, each with its fix; contents are looked at when all files are there."""
    if not any((directory / folder).exists() for folder in FOLDERS):
        return ["it does not exist; fix: create it (ClusterIdentity.create)"]
    missing = [name for name in FILES if not (directory / name).is_file()]
    if missing:
        return [
            f"missing: {', '.join(missing)}; {_RESTORE}. Without these files the cluster cannot be managed; for a new "
            "cluster, move the folder away"
        ]
    certificates: dict[str, x509.Certificate] = {}
    damaged = list(_pairs(directory, certificates=certificates))
    return [
        *_modes(directory),
        *damaged,
        *_tokens(directory),
        *_signed_by_ours(certificates),
        *_validity(certificates, now=now),
    ]


def _modes(directory: Path) -> Iterator[str]:
    modes = {name: open_to_others(directory / name) for name in (".", *FOLDERS, *FILES)}
    too_open = [f"{name} {mode:04o}" for name, mode in modes.items() if mode is not None]
    if too_open:
        yield (
            f"open to others: {', '.join(too_open)}; allowed: folders 0700, files 0600; fix: chmod -R go= {directory}. "
            "If others work on this machine, they may have read the keys: make a new cluster"
        )


def _pairs(directory: Path, *, certificates: dict[str, x509.Certificate]) -> Iterator[str]:
    for name in _PAIRS:
        key = _key(directory / f"{name}.key")
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            yield f"{name}.key: is no EC private key; {_RESTORE}"
        try:
            certificates[name] = x509.load_pem_x509_certificate((directory / f"{name}.crt").read_bytes())
        except ValueError:
            yield f"{name}.crt: is no certificate; {_RESTORE}"
            continue
        if key is not None and key.public_key() != certificates[name].public_key():
            yield f"{name}.crt: does not belong to {name}.key; {_RESTORE}"
    if not isinstance(_key(directory / "server/tls/service.key"), rsa.RSAPrivateKey):
        yield f"server/tls/service.key: is no RSA private key; {_RESTORE}"


def _key(path: Path) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) else None


def _tokens(directory: Path) -> Iterator[str]:
    server_ca = (directory / "server/tls/server-ca.crt").read_bytes()
    if (directory / "admin/server-ca.crt").read_bytes() != server_ca:
        yield f"admin/server-ca.crt: differs from server/tls/server-ca.crt; {_RESTORE}"
    secure = f"K10{ca_hash(server_ca)}::".encode()
    kind, password = (directory / "server/token").read_bytes().strip().removeprefix(secure).partition(b":")[::2]
    if kind != b"server" or not password:
        yield f"server/token: is no server token of server/tls/server-ca.crt; {_RESTORE}"
    agent_password = (directory / "server/agent-token").read_bytes().strip()
    if not agent_password or (directory / "agent/token").read_bytes().strip() != secure + b"node:" + agent_password:
        yield f"agent/token: does not fit server/agent-token and server/tls/server-ca.crt; {_RESTORE}"


def _signed_by_ours(certificates: Mapping[str, x509.Certificate]) -> Iterator[str]:
    admin, client_ca = certificates.get(_ADMIN), certificates.get("server/tls/client-ca")
    if admin is None or client_ca is None:
        return
    try:
        admin.verify_directly_issued_by(client_ca)
    except (ValueError, TypeError, InvalidSignature):
        yield f"{_ADMIN}.crt: is not signed by server/tls/client-ca.crt; {_RESTORE}"


def _validity(certificates: Mapping[str, x509.Certificate], *, now: datetime.datetime) -> Iterator[str]:
    for name, certificate in certificates.items():
        ends = certificate.not_valid_after_utc
        if ends - now < SHORTEST_VALIDITY:
            fix = (
                "renew it (ClusterIdentity.renew_admin_certificate)"
                if name == _ADMIN
                else "make a new cluster, or rotate K3s's authorities by hand (k3s certificate rotate-ca)"
            )
            state = "ended" if ends <= now else "ends in less than a day,"
            yield f"{name}.crt: {state} at {ends:%Y-%m-%d %H:%M} UTC; fix: {fix}, or correct this machine's clock"
