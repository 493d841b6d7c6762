"""Certificates that clients present, good and bad ones."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from macaroon_cbat.certificate.thumbprint import DerCertificate, Thumbprint, thumbprint_of
from tests.support.databases import NOW

TODAY = datetime.fromtimestamp(NOW, UTC)
DAY = timedelta(days=1)
CLIENT_AUTH, SERVER_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True)
class Identity:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> DerCertificate:
        """The bytes that a TLS connection shows."""
        return DerCertificate(self.certificate.public_bytes(serialization.Encoding.DER))

    @property
    def pem(self) -> bytes:
        """The certificate as a file."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key as a file."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def thumbprint(self) -> Thumbprint:
        """The thumbprint, as a cnf caveat has it."""
        return thumbprint_of(self.der)


def key_usage(*, is_authority: bool) -> x509.KeyUsage:
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
        **dict.fromkeys(others, False),
    )


def certified(
    subject: str | x509.Name = "CN=billing,O=Example",
    issuer: Identity | None = None,
    *,
    names: tuple[x509.GeneralName, ...] = (),
    days: tuple[int, int] = (-1, 30),
    usage: x509.ObjectIdentifier | None = CLIENT_AUTH,
    is_authority: bool = False,
    today: datetime = TODAY,
    raw_names: bytes | None = None,
    key: Any = None,
    algorithm: hashes.HashAlgorithm | None = None,
    path_length: int | None = None,
    more: tuple[tuple[x509.ExtensionType, bool], ...] = (),
) -> Identity:
    """Return a new certificate, self-signed without an issuer; `more` extensions are critical or not."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string(subject) if isinstance(subject, str) else subject
    signer_key = issuer.key if issuer else key
    authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today + days[0] * DAY)
        .not_valid_after(today + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=path_length), critical=True)
        .add_extension(key_usage(is_authority=is_authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(authority_key, critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not subject)
    if raw_names is not None:
        oid = x509.SubjectAlternativeName.oid
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, raw_names), critical=False)
    if usage is not None and not is_authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    for extension, is_critical in more:
        builder = builder.add_extension(extension, critical=is_critical)
    has_its_own = isinstance(signer_key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return Identity(builder.sign(signer_key, None if has_its_own else algorithm or hashes.SHA256()), key)


def authority(
    subject: str = "CN=Example CA", issuer: Identity | None = None, key: Any = None, **options: Any
) -> Identity:
    return certified(subject, issuer, key=key, **({"is_authority": True, "days": (-365, 3650)} | options))


def with_version(identity: Identity, version: int) -> DerCertificate:
    """Return the certificate as one of a version that does not exist; its signature is broken by that."""
    return DerCertificate(identity.der.replace(b"\xa0\x03\x02\x01\x02", bytes([0xA0, 3, 2, 1, version]), 1))
