"""The trust in client certificates for tls_client_auth (RFC 8705 2.1); no other module judges a chain."""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    ClientVerifier,
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.errors import InvalidClient, SettingsError
from macaroon_cbat.files.followed import Followed
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.oauth2.certificate_paths import (
    MOST_SENT,
    is_authority,
    is_issued_by,
    paths,
    read_sent,
    vouched_for,
)
from macaroon_cbat.service.oauth2.key_strength import weakness_in

log = logging.getLogger("macaroon_cbat.service")

_UNREADABLE = (VerificationError, ValueError, x509.InvalidVersion, x509.UnsupportedGeneralNameType)


class ClientTrust:
    """The CAs whose certificates may authenticate clients."""

    def __init__(self, file: Path | None) -> None:
        """Read a PEM file: self-signed certificates are trusted, others are intermediates.

        If the file has no self-signed one, the intermediates are trusted that no other in it issued. No
        certificate is trusted if there is no file. Raises SettingsError for an unusable file. A file that is
        replaced applies to every request from then on, over whichever connection; while it holds no CA, the
        CAs read before stay.
        """
        self.file = file
        self.followed = None if file is None else Followed("trusted CAs", [file], partial(_read, file), log)

    def verified(
        self,
        certificate: DerCertificate | None,
        now: EpochSeconds,
        sent: Iterable[DerCertificate] = (),
    ) -> x509.Certificate:
        """Return the certificate if a trusted CA issued it for client authentication and it is valid now.

        `sent` are certificates that the client sent beside its own: they may be intermediates, and are never
        trusted by themselves. Raises InvalidClient otherwise, and for a weak key or signature in the chain.
        """
        if certificate is None:
            raise InvalidClient("the connection has no certificate")
        roots, intermediates = ([], []) if self.followed is None else self.followed.current()
        if not roots:
            raise InvalidClient("tls_client_auth needs trusted CAs: set MACAROON_CBAT_CLIENT_CA")
        try:
            leaf = x509.load_der_x509_certificate(certificate)
            known = [*intermediates, *vouched_for(read_sent(sent), [*roots, *intermediates])]
            _verify(leaf, roots, known, now)
        except _UNREADABLE as error:
            raise InvalidClient(f"the client certificate is not trusted: {error}") from error
        return leaf


def _verify(
    leaf: x509.Certificate, roots: list[x509.Certificate], known: list[x509.Certificate], now: EpochSeconds
) -> None:
    """Raise an error of `_UNREADABLE` unless one path from the certificate to a root is valid."""
    verifier = _verifier(roots, now)
    problem: Exception = VerificationError(
        "no CA in MACAROON_CBAT_CLIENT_CA issued it, and no intermediate leads to one, of which the client "
        f"sends {MOST_SENT} at most"
    )
    for path in paths(leaf, roots, known):
        try:
            chain = verifier.verify(leaf, path).chain
        except _UNREADABLE as error:
            problem = error
            continue
        if not (weaknesses := [weakness for one in chain if (weakness := weakness_in(one))]):
            return
        problem = ValueError(f"its chain has {weaknesses[0]}")
    raise problem


def _verifier(roots: list[x509.Certificate], now: EpochSeconds) -> ClientVerifier:
    return (
        PolicyBuilder()
        .store(Store(roots))
        .time(datetime.fromtimestamp(now, UTC))
        .extension_policies(ca_policy=_ISSUERS, ee_policy=_CLIENTS)
        .build_client_verifier()
    )


def _read(file: Path) -> tuple[list[x509.Certificate], list[x509.Certificate]]:
    """Return the trusted certificates of a file, and its intermediates that lead to them."""
    try:
        certificates = x509.load_pem_x509_certificates(file.read_bytes())
        roots = [certificate for certificate in certificates if certificate.subject == certificate.issuer]
    except OSError as error:
        raise SettingsError(
            f"MACAROON_CBAT_CLIENT_CA: {file} cannot be read ({error.strerror}): name the PEM file of the CAs"
        ) from error
    except (ValueError, x509.InvalidVersion) as error:
        raise SettingsError(
            f"MACAROON_CBAT_CLIENT_CA: {file} holds no readable PEM certificates: name that of the CAs"
        ) from error
    roots = roots or _topmost(certificates)
    if not roots:
        raise SettingsError(f"MACAROON_CBAT_CLIENT_CA: {file} holds no certificate of a CA: name the CA's")
    others = [certificate for certificate in certificates if certificate not in roots]
    intermediates = vouched_for([one for one in others if is_authority(one)], roots)
    if strays := [one for one in others if one not in intermediates]:
        log.warning(
            "MACAROON_CBAT_CLIENT_CA: %s is not trusted, because no self-signed CA in %s leads to it: to "
            "trust an intermediate itself, name a file without self-signed certificates",
            strays[0].subject.rfc4514_string(),
            file,
        )
    return roots, intermediates


def _topmost(certificates: list[x509.Certificate]) -> list[x509.Certificate]:
    """Return the CAs that no other one among these certificates issued."""
    authorities = [one for one in certificates if is_authority(one)]
    return [one for one in authorities if not any(is_issued_by(one, other) for other in authorities)]


def _allow_client_authentication(
    _policy: Policy, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None
) -> None:
    if usage is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise ValueError("its extended key usage is not client authentication")


def _allow_issuing(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("its key usage is not signing certificates")


def _read_policies(
    _policy: Policy, _certificate: x509.Certificate, _policies: x509.CertificatePolicies | None
) -> None:
    """Allow any policy. Without this callback the verifier would not read critical policies."""


def _allow_authority(
    _policy: Policy, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None
) -> None:
    allowed = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    if usage is not None and not any(one in usage for one in allowed):
        raise ValueError("its extended key usage is not client authentication")


def _allow_constraints(
    _policy: Policy, _certificate: x509.Certificate, constraints: x509.NameConstraints | None
) -> None:
    """Refuse constraints of subjects, of which the verifier refuses only critical ones."""
    if constraints is None:
        return
    trees = [*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ())]
    if any(isinstance(one, x509.DirectoryName) for one in trees):
        raise ValueError("it constrains subjects (directoryName), which are not judged here")


# Private CAs are held to RFC 5280 and not to the rules of the web: a missing key usage means any, an
# authority key identifier may be missing, a subject may be named in the DN alone (RFC 8705 2.1.2),
# and an extended key usage may be critical. Any policy is allowed, critical ones included.
_ISSUERS = (
    ExtensionPolicy.webpki_defaults_ca()
    .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _allow_issuing)
    .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _allow_authority)
    .may_be_present(x509.NameConstraints, Criticality.AGNOSTIC, _allow_constraints)
    .may_be_present(x509.CertificatePolicies, Criticality.AGNOSTIC, _read_policies)
)
_CLIENTS = (
    ExtensionPolicy.webpki_defaults_ee()
    .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
    .may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
    .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _allow_client_authentication)
    .may_be_present(x509.CertificatePolicies, Criticality.AGNOSTIC, _read_policies)
)
