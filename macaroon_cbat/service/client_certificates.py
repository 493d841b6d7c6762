"""The one place where certificates are parsed and trusted: tls_client_auth (RFC 8705 2.1)."""

import logging
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from macaroon_cbat.claims import EpochSeconds
from macaroon_cbat.errors import InvalidClient, SettingsError
from macaroon_cbat.files.watching import Followed
from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.thumbprint import DerCertificate

log = logging.getLogger("macaroon_cbat.service")

LEAST_RSA_BITS, LEAST_CURVE_BITS = 2048, 224


class ClientTrust:
    """The CAs whose certificates may authenticate clients."""

    def __init__(self, file: Path | None) -> None:
        """Read a PEM file: self-signed certificates are trusted, others are intermediates.

        Without a file nobody is trusted. Raises SettingsError for an unusable file. A file that is replaced
        counts for every request from then on, over whichever connection; while it holds no CA, the CAs read
        before stay.
        """
        self.file = file
        self.followed = None if file is None else Followed("trusted CAs", [file], partial(_read, file), log)

    def verified(self, certificate: DerCertificate | None, now: EpochSeconds) -> x509.Certificate:
        """Return the certificate when a trusted CA issued it for client authentication and it is valid now.

        Raises InvalidClient otherwise, and for a weak key or signature anywhere in the chain.
        """
        if certificate is None:
            raise InvalidClient("the connection has no certificate")
        roots, intermediates = ([], []) if self.followed is None else self.followed.current()
        if not roots:
            raise InvalidClient("tls_client_auth needs trusted CAs: set MACAROON_CBAT_CLIENT_CA")
        verifier = (
            PolicyBuilder()
            .store(Store(roots))
            .time(datetime.fromtimestamp(now, UTC))
            .extension_policies(ca_policy=_ISSUERS, ee_policy=_CLIENTS)
            .build_client_verifier()
        )
        try:
            parsed = x509.load_der_x509_certificate(certificate)
            chain = verifier.verify(parsed, intermediates).chain
        except (VerificationError, ValueError, x509.InvalidVersion, x509.UnsupportedGeneralNameType) as error:
            raise InvalidClient(f"the client certificate is not trusted: {error}") from error
        if weaknesses := [weakness for one in chain if (weakness := _weakness(one))]:
            raise InvalidClient(f"the client certificate is not trusted: its chain has {weaknesses[0]}")
        return parsed


def is_named_by(certificate: x509.Certificate, metadata: ClientMetadata) -> bool:
    """Return True if the certificate has the one name that the client registered (RFC 8705 2.1.2).

    A name that cannot be read, such as Latin-1 in a T61String, is no client's.
    """
    try:
        if metadata.tls_client_auth_subject_dn is not None:
            return certificate.subject == _name(metadata.tls_client_auth_subject_dn)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return False
    if metadata.tls_client_auth_san_dns is not None:
        return metadata.tls_client_auth_san_dns in names.get_values_for_type(x509.DNSName)
    return metadata.tls_client_auth_san_uri in names.get_values_for_type(x509.UniformResourceIdentifier)


@lru_cache(maxsize=1024)
def _name(text: str) -> x509.Name:
    return x509.Name.from_rfc4514_string(text)


def weakness_of(certificate: DerCertificate) -> str | None:
    """Return what is wrong with the key of a certificate that its hash makes trusted, or None."""
    try:
        return _weakness(x509.load_der_x509_certificate(certificate))
    except (ValueError, x509.InvalidVersion):
        return "a form that cannot be read"


def _weakness(certificate: x509.Certificate) -> str | None:
    """Return what is wrong with the key: 112 bits of security is the least (NIST SP 800-57)."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "a key of an unknown kind or curve"
    match key:
        case rsa.RSAPublicKey():
            is_weak = key.key_size < LEAST_RSA_BITS or key.public_numbers().e < 3
            return f"an RSA key of {key.key_size} bits, less than {LEAST_RSA_BITS}" if is_weak else None
        case ec.EllipticCurvePublicKey():
            is_weak = key.curve.key_size < LEAST_CURVE_BITS
            return f"a key on the curve {key.curve.name}, which is too small" if is_weak else None
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return None
    return f"a key of a kind that is not taken: {type(key).__name__}"


def _read(file: Path) -> tuple[list[x509.Certificate], list[x509.Certificate]]:
    try:
        certificates = x509.load_pem_x509_certificates(file.read_bytes())
        roots = [certificate for certificate in certificates if certificate.subject == certificate.issuer]
    except (OSError, ValueError, x509.InvalidVersion) as error:
        raise SettingsError(f"MACAROON_CBAT_CLIENT_CA: {file} holds no readable PEM certificates") from error
    if not roots:
        raise SettingsError(f"MACAROON_CBAT_CLIENT_CA: {file} holds no self-signed CA certificate")
    return roots, [certificate for certificate in certificates if certificate not in roots]


def _allow_client_authentication(
    _policy: Policy, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None
) -> None:
    if usage is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise ValueError("its extended key usage is not client authentication")


def _allow_issuing(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("its key usage is not signing certificates")


# Private CAs are held to RFC 5280 and not to the rules of the web: a missing key usage means any, an
# authority key identifier may be missing, a subject may be named in the DN alone (RFC 8705 2.1.2),
# and an extended key usage may be critical.
_ISSUERS = (
    ExtensionPolicy.webpki_defaults_ca()
    .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _allow_issuing)
)
_CLIENTS = (
    ExtensionPolicy.webpki_defaults_ee()
    .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
    .may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
    .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _allow_client_authentication)
)
