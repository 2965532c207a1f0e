"""The keys and certificates that K3s accepts when it finds them at its first start."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_VALIDITY = datetime.timedelta(days=3650)
ADMIN_VALIDITY = datetime.timedelta(days=365)
CLOCK_TOLERANCE = datetime.timedelta(hours=1)
"""Certificates begin so long before they are made: the clocks of nodes may be behind."""

_RSA_BITS = 2048


@dataclass(frozen=True, kw_only=True, slots=True)
class Authority:
    """A certificate authority.

    Args:
        certificate: Its self-signed certificate.
        key: Its private key.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, *, certificate: bytes, key: bytes) -> Authority:
        """One that was written as PEM.

        Raises:
            ValueError: The data are no certificate or no EC key.
        """
        return cls(certificate=x509.load_pem_x509_certificate(certificate), key=load_ec_key(key))

    @classmethod
    def create(cls, *, common_name: str, now: datetime.datetime) -> Authority:
        """A new one: EC P-256, self-signed, valid for 10 years, with the key usages that K3s's own have.

        Source: k3s-io/k3s contrib/util/generate-custom-ca-certs.sh. K3s's agents find the server's CA by the hash of
        the file only when it is one self-signed certificate, no chain (pkg/clientaccess/token.go, hashCA).
        """
        key = new_ec_key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        certificate = (
            _builder(subject=name, issuer=name, key=key.public_key(), now=now, validity=CA_VALIDITY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(key_encipherment=True, key_cert_sign=True), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate=certificate, key=key)

    def issue_admin(self, public_key: ec.EllipticCurvePublicKey, *, now: datetime.datetime) -> x509.Certificate:
        """A certificate of the cluster's administrator, valid for one year; the subject is that of K3s's own."""
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
                x509.NameAttribute(NameOID.COMMON_NAME, "system:admin"),
            ]
        )
        return (
            _builder(subject=name, issuer=self.certificate.subject, key=public_key, now=now, validity=ADMIN_VALIDITY)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def load_ec_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """An EC key that was written as PEM.

    Raises:
        ValueError: It is none.
    """
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the private key is no EC key")
    return key


def new_ec_key() -> ec.EllipticCurvePrivateKey:
    """A new EC P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def new_service_account_key() -> rsa.RSAPrivateKey:
    """A new RSA 2048 key for the tokens of service accounts; K3s signs them with RSA only."""
    return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """A certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """A private key as PEM in the traditional form (`EC PRIVATE KEY`, `RSA PRIVATE KEY`), which K3s reads."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _builder(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    validity: datetime.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + validity)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, key_encipherment: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
