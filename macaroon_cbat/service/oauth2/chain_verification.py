"""The verification of a client's certificate up to trusted CAs (RFC 5280); no other module judges a chain."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

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
from msgspec import Struct

from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.errors import InvalidClient
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.oauth2.certificate_paths import MOST_SENT, paths, read_sent, vouched_for
from macaroon_cbat.service.oauth2.key_strength import weakness_in

_UNREADABLE = (VerificationError, ValueError, x509.InvalidVersion, x509.UnsupportedGeneralNameType)

Flaw = Callable[[x509.Certificate], str | None]
"""Returns why a certificate must not stand in a chain, or None."""


class Anchors(Struct, frozen=True):
    """Trusted CAs, the intermediates known below them, and the name of the setting that they are from."""

    roots: Sequence[x509.Certificate]
    intermediates: Sequence[x509.Certificate]
    setting: str


def verified_leaf(
    certificate: DerCertificate,
    anchors: Anchors,
    sent: Iterable[DerCertificate],
    now: EpochSeconds,
    flaw: Flaw = weakness_in,
) -> x509.Certificate:
    """Return the certificate if one path from it to a root is valid now, for client authentication.

    `sent` are certificates that the client sent beside its own: they may be intermediates, and are never
    trusted by themselves. Raises InvalidClient otherwise, and for a flaw of a certificate in the chain.
    """
    try:
        leaf = x509.load_der_x509_certificate(certificate)
        trusted = [*anchors.roots, *anchors.intermediates]
        known = [*anchors.intermediates, *vouched_for(read_sent(sent), trusted)]
        _verify(leaf, anchors, known, now, flaw)
    except _UNREADABLE as error:
        raise InvalidClient(f"the client certificate is not trusted: {error}") from error
    return leaf


def _verify(
    leaf: x509.Certificate, anchors: Anchors, known: list[x509.Certificate], now: EpochSeconds, flaw: Flaw
) -> None:
    """Raise an error of `_UNREADABLE` unless one path from the certificate to a root is valid."""
    verifier = _verifier(anchors.roots, now)
    problem: Exception = VerificationError(
        f"no CA in {anchors.setting} issued it, and no intermediate leads to one, of which the client "
        f"sends {MOST_SENT} at most"
    )
    for path in paths(leaf, anchors.roots, known):
        try:
            chain = verifier.verify(leaf, path).chain
        except _UNREADABLE as error:
            problem = error
            continue
        if not (flaws := [found for one in chain if (found := flaw(one))]):
            return
        problem = ValueError(f"its chain has {flaws[0]}")
    raise problem


def _verifier(roots: Sequence[x509.Certificate], now: EpochSeconds) -> ClientVerifier:
    return (
        PolicyBuilder()
        .store(Store(list(roots)))
        .time(datetime.fromtimestamp(now, UTC))
        .extension_policies(ca_policy=_ISSUERS, ee_policy=_CLIENTS)
        .build_client_verifier()
    )


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
