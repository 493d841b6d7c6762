"""The trust in client certificates for tls_client_auth (RFC 8705 2.1): the file of trusted CAs."""

import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from cryptography import x509

from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.errors import InvalidClient, SettingsError
from macaroon_cbat.files.followed import Followed
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.oauth2.certificate_paths import is_authority, is_issued_by, vouched_for
from macaroon_cbat.service.oauth2.chain_verification import Anchors, verified_leaf
from macaroon_cbat.service.oauth2.spiffe_trust import SETTING, SpiffeTrust, bundles_in
from macaroon_cbat.service.settings import Settings
from macaroon_cbat.stores.spiffe_ids import SpiffeId

log = logging.getLogger("macaroon_cbat.service")


class ClientTrust:
    """The CAs whose certificates may authenticate clients."""

    def __init__(self, file: Path | None, spiffe: SpiffeTrust | None = None) -> None:
        """Read a PEM file: self-signed certificates are trusted, others are intermediates.

        If the file has no self-signed one, the intermediates are trusted that no other in it issued. No
        certificate is trusted if there is no file. Raises SettingsError for an unusable file. A file that is
        replaced applies to every request from then on, over whichever connection; while it holds no CA, the
        CAs read before stay. `spiffe` are the CAs of trust domains, which verify their own SPIFFE IDs alone.
        """
        self.file = file
        self._file = None if file is None else Followed("trusted CAs", [file], partial(_read, file), log)
        self._spiffe = spiffe or SpiffeTrust({})

    @property
    def followed(self) -> list[Followed[Any]]:
        """The files that every process follows."""
        return [*([] if self._file is None else [self._file]), *self._spiffe.followed]

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
        if self._file is None:
            raise InvalidClient("tls_client_auth needs trusted CAs: set MACAROON_CBAT_CLIENT_CA")
        return verified_leaf(certificate, self._file.current(), sent, now)

    def spiffe_id(
        self,
        certificate: DerCertificate | None,
        now: EpochSeconds,
        sent: Iterable[DerCertificate] = (),
    ) -> SpiffeId:
        """Return the SPIFFE ID of a certificate that a CA of its trust domain issued, valid now.

        Raises InvalidClient otherwise.
        """
        return self._spiffe.verified(certificate, now, sent)


def client_trust(settings: Settings) -> ClientTrust:
    """Return the trust that the settings name, or raise SettingsError for an unusable file or name."""
    text = settings.spiffe_bundles
    try:
        bundles = {} if text is None else bundles_in(text)
    except ValueError as error:
        raise SettingsError(
            f"{SETTING} is malformed, {error}: write prod.example=/etc/spiffe/prod.pem, several with commas "
            "between"
        ) from error
    return ClientTrust(settings.client_ca, SpiffeTrust(bundles))


def _read(file: Path) -> Anchors:
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
    return Anchors(roots, intermediates, "MACAROON_CBAT_CLIENT_CA")


def _topmost(certificates: list[x509.Certificate]) -> list[x509.Certificate]:
    """Return the CAs that no other one among these certificates issued."""
    authorities = [one for one in certificates if is_authority(one)]
    return [one for one in authorities if not any(is_issued_by(one, other) for other in authorities)]
