"""Certificates, tokens and files of these tests."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from macaroon_cbat import Caveat, Grant, RootKey, Thumbprint, audience_key, mint, thumbprint_of
from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.macaroon.caveats import read_caveats
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.rsa_keys import rsa_key

AUDIENCE = "https://api.example"
ISSUER = "https://issuer.example"
ROOT = RootKey("k1", b"r" * 32)
NOW = 1_767_225_600
FAR = 4_102_444_800


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes
    der: DerCertificate
    thumbprint: Thumbprint
    private: Any
    x509: x509.Certificate


def make_pair(kind: str = "P-256", issuer: Pair | None = None, password: bytes | None = None) -> Pair:
    """Return a new certificate, self-signed unless an issuer signs it."""
    private: Any = {
        "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "RSA": rsa_key,
        "Ed25519": ed25519.Ed25519PrivateKey.generate,
    }[kind]()
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    signing = issuer.private if issuer else private
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.x509.subject if issuer else name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(signing, None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    protection = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    key = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)
    der = DerCertificate(certificate.public_bytes(serialization.Encoding.DER))
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    return Pair(pem, key, der, thumbprint_of(der), private, certificate)


@dataclass(frozen=True)
class Files:
    """The files of a holder's certificate and key."""

    certificate: Path
    key: Path

    def write(self, pair: Pair) -> None:
        """Rotate: each file is replaced whole, one after the other."""
        replace(self.certificate, pair.certificate)
        replace(self.key, pair.key)


def replace(path: Path, content: bytes) -> None:
    """Replace a file whole, as certificate tools do."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(content)
    draft.replace(path)


def write_in_place(path: Path, content: bytes) -> None:
    """Overwrite a file, keeping its inode."""
    with path.open("r+b") as file:
        file.truncate()
        file.write(content)


def keep_stat(path: Path, content: bytes) -> None:
    """Overwrite a file so that size, inode and modification time stay what they were."""
    before = path.stat()
    assert len(content) == before.st_size
    write_in_place(path, content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def make_token(
    *caveats: Caveat,
    audience: str | tuple[str, ...] | None = AUDIENCE,
    number: int = 0,
    issued_at: int = NOW,
) -> str:
    """Return an unbound token of the test's issuer; `number` makes its identifier."""
    claims: dict[str, Any] = {} if audience is None else {"aud": audience}
    grant = Grant(
        client_id="billing",
        exp=FAR,
        iat=issued_at,
        jti=f"{number:022}",
        kid=ROOT.kid,
        scope="read write",
        sub="billing",
        **claims,
    )
    key = audience_key(ROOT, audience if isinstance(audience, str) else None)
    return mint(key, ISSUER, grant, caveats)


def added(child: str, token: str) -> list[Caveat]:
    """Return the caveats that the child has and the token has not."""
    texts = read_macaroon(child).caveats[len(read_macaroon(token).caveats) :]
    return [each for text in texts if isinstance(text, bytes) for each in read_caveats(text)]
