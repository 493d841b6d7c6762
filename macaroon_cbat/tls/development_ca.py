"""A certificate authority for development: HTTPS on localhost after one start, nothing to install."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files import replace_file
from macaroon_cbat.files.lock import locked_file
from macaroon_cbat.files.modes import open_private

_CA_LIFETIME = timedelta(days=3650)
_SERVER_LIFETIME = timedelta(days=397)
_RENEW_BEFORE = timedelta(days=30)
_CLOCK_SKEW = timedelta(hours=1)
_LOCALHOST = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class DevelopmentCertificates:
    """The files of one folder: the CA that clients trust, the server's certificate and its key."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class _Signer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def development_certificates(folder: Path, *hosts: str) -> DevelopmentCertificates:
    """Return a server certificate for localhost and the hosts, made on first use, or raise SettingsError.

    The CA is made once and never replaced. The server certificate is issued again when it expires within
    30 days, does not name all hosts, does not match its key or is not from this CA. Processes that
    start together wait for each other. A running server calls this as its `renew`.
    """
    files = DevelopmentCertificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    names = {_normal_host(host) for host in hosts} | _LOCALHOST
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked_file(folder / ".lock"):
            now = datetime.now(UTC)
            ca = _certificate_authority(files.ca, folder / "ca.key", now)
            current = _usable_names(files, ca, now)
            if not names <= current:
                _issue(files, ca, current | names, now)
    except OSError as error:
        raise SettingsError(
            f"cannot keep development certificates in {folder}: {error.strerror} ({error.filename}); "
            "choose a folder that can be written"
        ) from error
    return files


def _normal_host(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        name = ""
    if not name:
        raise SettingsError(f"{host!r} is neither a host name nor an IP address")
    return name


def _certificate_authority(certificate: Path, key: Path, now: datetime) -> _Signer:
    if not certificate.exists() and not key.exists():
        ca = _make_authority(now)
        replace_file(key, [_key_pem(ca.key)], what="private key")
        replace_file(certificate, [ca.certificate.public_bytes(serialization.Encoding.PEM)], 0o644)
        return ca
    remedy = (
        f"restore it, or remove {certificate} and {key} to make a new CA that clients must then trust anew"
    )
    for path in (certificate, key):
        if not path.exists():
            raise SettingsError(f"half of the development CA is missing: {path}; {remedy}")
    ca_certificate = _read_certificate(certificate)
    ca_key = _read_key(key)
    if ca_certificate is None:
        raise SettingsError(f"{certificate} is not the PEM certificate of the development CA; {remedy}")
    if ca_key is None:
        raise SettingsError(f"{key} is not the P-256 private key of the development CA; {remedy}")
    if ca_key.public_key() != ca_certificate.public_key():
        raise SettingsError(f"{key} does not belong to the development CA {certificate}; {remedy}")
    if ca_certificate.not_valid_after_utc < now + _RENEW_BEFORE:
        raise SettingsError(f"the development CA {certificate} expires or has expired; {remedy}")
    return _Signer(ca_certificate, ca_key)


def _make_authority(now: datetime) -> _Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "macaroon_cbat development CA")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(name, name, key, now, now + _CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(is_authority=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return _Signer(certificate, key)


def _issue(files: DevelopmentCertificates, ca: _Signer, names: frozenset[str], now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    expires = min(now + _SERVER_LIFETIME, ca.certificate.not_valid_after_utc)
    issuer_identifier = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _builder(subject, ca.certificate.subject, key, now, expires)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in sorted(names)]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_identifier), critical=False
        )
        .sign(ca.key, hashes.SHA256())
    )
    replace_file(files.key, [_key_pem(key)], what="private key")
    replace_file(files.certificate, [certificate.public_bytes(serialization.Encoding.PEM)], 0o644)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, expires: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(expires)
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usable_names(files: DevelopmentCertificates, ca: _Signer, now: datetime) -> frozenset[str]:
    """Return the names that the server certificate on disk is good for; none when it must be replaced."""
    certificate = _read_certificate(files.certificate)
    key = _read_key(files.key)
    if certificate is None or key is None or certificate.public_key() != key.public_key():
        return frozenset()
    if certificate.not_valid_after_utc < now + _RENEW_BEFORE:
        return frozenset()
    try:
        certificate.verify_directly_issued_by(ca.certificate)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # noqa: BLE001  # any fault of a foreign file has one answer: to replace it
        return frozenset()
    found = {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}
    return frozenset(found) if found >= _LOCALHOST else frozenset()


def _read_certificate(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        with open_private(path, "private key") as stream:
            key = serialization.load_pem_private_key(stream.read(), password=None)
    except (FileNotFoundError, TypeError, ValueError):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
