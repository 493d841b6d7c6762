"""The trust in SPIFFE IDs: the bundle of each trust domain, and the rules for X.509-SVIDs.

A bundle verifies IDs of its own trust domain alone. The name of a domain is configured beside its file,
because a bundle does not state it (SPIFFE Federation 7.3).
"""

import logging
from base64 import b64decode
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import msgspec
from cryptography import x509

from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.errors import InvalidClient, SettingsError
from macaroon_cbat.files.followed import Followed
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.oauth2.certificate_paths import is_authority
from macaroon_cbat.service.oauth2.chain_verification import Anchors, verified_leaf
from macaroon_cbat.service.oauth2.key_strength import weakness_in
from macaroon_cbat.stores.spiffe_ids import SpiffeId, is_trust_domain, parse_spiffe_id

log = logging.getLogger("macaroon_cbat.service")

SETTING = "MACAROON_CBAT_SPIFFE_BUNDLES"
LARGEST_BUNDLE = 1 << 20
"""Bytes of a bundle file at most."""

_UNREADABLE = (
    *(ValueError, msgspec.MsgspecError),
    *(x509.DuplicateExtension, x509.UnsupportedGeneralNameType, x509.InvalidVersion),
)


class SpiffeTrust:
    """The CAs of trust domains, each read from a file of its own and followed."""

    def __init__(self, bundles: Mapping[str, Path]) -> None:
        """Read the bundle of each trust domain, PEM or SPIFFE's JSON, or raise SettingsError.

        A replaced file applies to every request from then on; while it holds no bundle, the CAs read before
        stay.
        """
        self._bundles = {
            domain: Followed(f"SPIFFE bundle of {domain}", [file], partial(read_bundle, domain, file), log)
            for domain, file in bundles.items()
        }

    @property
    def followed(self) -> list[Followed[Anchors]]:
        """The bundles that every process follows."""
        return list(self._bundles.values())

    def verified(
        self, certificate: DerCertificate | None, now: EpochSeconds, sent: Iterable[DerCertificate]
    ) -> SpiffeId:
        """Return the SPIFFE ID of an X.509-SVID that its own trust domain issued, valid now.

        Raises InvalidClient otherwise.
        """
        if certificate is None:
            raise InvalidClient("the connection has no certificate")
        found = _spiffe_id_in(certificate)
        bundle = self._bundles.get(found.trust_domain)
        if bundle is None:
            raise InvalidClient(f"the trust domain {found.trust_domain} has no bundle: name it in {SETTING}")
        flaw = partial(_flaw_in, found.trust_domain)
        verified_leaf(certificate, bundle.current(), sent, now, flaw)
        return found


def bundles_in(text: str) -> dict[str, Path]:
    """Return the bundle files that a setting names by trust domain, or raise ValueError."""
    bundles: dict[str, Path] = {}
    for one in text.split(","):
        domain, equals, file = one.strip().partition("=")
        if not (equals and file and is_trust_domain(domain)) or domain in bundles:
            raise ValueError(f"{one.strip()[:60]!r} is not one TRUST-DOMAIN=FILE")
        bundles[domain] = Path(file)
    return bundles


def read_bundle(domain: str, file: Path) -> Anchors:
    """Return the CAs of a trust domain; each is trusted, self-signed or not. Raises SettingsError."""
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_BUNDLE + 1)
        if len(content) > LARGEST_BUNDLE:
            raise ValueError(f"it is larger than {LARGEST_BUNDLE:,} bytes")
        roots = _certificates_in(content)
        if not roots or not all(is_authority(one) for one in roots):
            raise ValueError("it holds something else than CA certificates with strong keys")
        if others := [name for one in roots if (name := _domain_of(one)) not in (None, domain)]:
            raise ValueError(f"it holds a CA of the trust domain {others[0]}")
    except OSError as error:
        raise SettingsError(
            f"{SETTING}: {file} cannot be read ({error.strerror}): name the bundle of {domain}"
        ) from error
    except _UNREADABLE as error:
        raise SettingsError(
            f"{SETTING}: {file} is not the bundle of {domain}: {error}: name its PEM or JSON bundle"
        ) from error
    return Anchors(roots, (), SETTING)


class _Key(msgspec.Struct):
    use: str = ""
    x5c: tuple[str, ...] = ()


class _Bundle(msgspec.Struct):
    keys: tuple[_Key, ...]


def _certificates_in(content: bytes) -> list[x509.Certificate]:
    """Return the certificates of a PEM file, or those for X.509-SVIDs of a SPIFFE bundle (SPIFFE 4.2)."""
    if not content.lstrip().startswith(b"{"):
        return x509.load_pem_x509_certificates(content)
    keys = msgspec.json.decode(content, type=_Bundle).keys
    chains = [key.x5c for key in keys if key.use == "x509-svid"]
    if any(len(chain) != 1 for chain in chains):
        raise ValueError("a key for x509-svid has not exactly one certificate in x5c")
    return [x509.load_der_x509_certificate(b64decode(one, validate=True)) for [one] in chains]


def _spiffe_id_in(certificate: DerCertificate) -> SpiffeId:
    """Return the SPIFFE ID that an X.509-SVID claims, unverified, or raise InvalidClient.

    The certificate has exactly one URI, which is the ID of a workload, and its key signs no certificates
    (X509-SVID 2, 4.1 and 4.3).
    """
    try:
        leaf = x509.load_der_x509_certificate(certificate)
        uris = _uris_of(leaf)
        if len(uris) != 1:
            raise ValueError(f"it has {len(uris)} URIs, and must have one")
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        found = parse_spiffe_id(uris[0])
        if not found.path or not usage.digital_signature or usage.key_cert_sign or usage.crl_sign:
            raise ValueError("it is that of a CA, or not for signatures")
    except (*_UNREADABLE, x509.ExtensionNotFound) as error:
        raise InvalidClient(f"the client certificate is no X.509-SVID: {error}") from error
    return found


def _flaw_in(domain: str, certificate: x509.Certificate) -> str | None:
    """Return why a certificate must not vouch for IDs of this trust domain, or None.

    Two trust domains may share a root: the CA of one must not issue IDs of the other.
    """
    try:
        named = _domain_of(certificate)
    except _UNREADABLE as error:
        return f"a certificate with unreadable names ({error})"
    if named not in (None, domain):
        return f"a certificate of the trust domain {named}"
    return weakness_in(certificate)


def _domain_of(certificate: x509.Certificate) -> str | None:
    """Return the trust domain that a certificate names, None without one, or raise ValueError."""
    found = {parse_spiffe_id(uri).trust_domain for uri in _uris_of(certificate) if _is_spiffe(uri)}
    if len(found) > 1:
        raise ValueError("a certificate names several trust domains")
    return next(iter(found), None)


def _uris_of(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def _is_spiffe(uri: str) -> bool:
    return uri.lower().startswith("spiffe:")
