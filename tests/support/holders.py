"""One service, its clients and their certificates: what most walks start from."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from macaroon_cbat import Thumbprint, thumbprint_of
from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.client import ClientCertificate, TokenClient
from tests.support.rsa_keys import rsa_key
from tests.support.service_process import API, Service
from tests.support.tls_servers import DAY, Client, make_client


@dataclass
class House:
    """A service, the secrets of its clients, and certificates of every kind."""

    service: Service
    holders: dict[str, Client]
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def introspection(self) -> dict[str, object]:
        """The settings with which a resource server asks the service."""
        asking = {"client_id": "api", "client_secret": self.secrets["api"]}
        return {"issuer": self.service.issuer, "audience": API, "ca": self.service.ca, **asking}

    def source(self, name: str = "basic", kind: str | None = None, **options: str) -> TokenClient:
        """Return a client of the service, which connects with a certificate of this kind."""
        certificate = None if kind is None else self.certificate(kind)
        secret = self.secrets[name] or None
        return self.service.client(name, secret, certificate=certificate, resource=API, **options)

    def certificate(self, kind: str = "P-256") -> ClientCertificate:
        """Return a watched certificate."""
        return ClientCertificate(self.holders[kind].file)

    def thumbprint(self, kind: str) -> Thumbprint:
        """Return what a token is bound to."""
        return thumbprint_of(DerCertificate(self.holders[kind].der))

    def register(self) -> None:
        """Register a client of each authentication method, and a resource server."""
        usual = ("--scope", "read write", "--audience", API)
        registered = ("--certificate", self.holders["P-256"].file)
        for name, *options in (
            ("basic", "--auth", "client_secret_basic"),
            ("post", "--auth", "client_secret_post"),
            ("bound", "--bound"),
            ("self-signed", "--auth", "self_signed_tls_client_auth", *registered),
            ("of-a-ca", "--auth", "tls_client_auth", "--san-dns", "billing.example"),
            ("api", "--serves", API, "--understands-caveats"),
        ):
            self.secrets[str(name)] = self.service.add(str(name), *usual, *options)


def make_holders(folder: Path, authority: "Authority") -> dict[str, Client]:
    """Make client certificates of every kind."""
    other = make_client(folder, "unknown-authority", is_authority=True)
    return {
        "P-256": make_client(folder, "p256"),
        "RSA": make_client(folder, "rsa", key=rsa_key()),
        "Ed25519": make_client(folder, "ed25519", key=ed25519.Ed25519PrivateKey.generate()),
        "expired": make_client(folder, "expired", days=(-30, -1)),
        "CA-signed": authority.issue(folder, "billing.example"),
        "CA-signed for another": authority.issue(folder, "other.example"),
        "of an unknown CA": make_client(folder, "unknown", issuer=other, chain=(other,)),
    }


class Authority:
    """A CA whose certificates authenticate clients by tls_client_auth, with the extensions of RFC 5280."""

    def __init__(self, file: Path) -> None:
        """Make the CA and write its certificate."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the clients' CA")])
        usage = dict.fromkeys(_USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
        certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, folder: Path, name: str) -> Client:
        """Return a client certificate with this DNS name."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")]), key)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        file = folder / f"{name}.pem"
        file.write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + certificate.public_bytes(pem)
        )
        return Client(certificate, key, file)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )


_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
