"""The guard without a framework: one request in, its principal out. Every adapter calls this one."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from macaroon_cbat.certificate.source import (
    NO_CERTIFICATE,
    CertificateSource,
    PresentedCertificate,
    RequestConnection,
    client_address,
    tls_connection,
)
from macaroon_cbat.errors import (
    InvalidRequest,
    InvalidToken,
    OAuthError,
    ServerMisconfigured,
    SettingsError,
    Unavailable,
)
from macaroon_cbat.macaroon.bearer import read_bearer
from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.keys import AudienceKeys, KeySource
from macaroon_cbat.macaroon.target import Target
from macaroon_cbat.macaroon.verification import Principal, require_scope, verify
from macaroon_cbat.resource.audit import log_misconfigured, reason_of, warn_ignored, write_or_log_refusal
from macaroon_cbat.resource.blocking import announces_blocking
from macaroon_cbat.resource.feeds.revocation_feed import RevocationFeed
from macaroon_cbat.resource.hidden_certificates import refuse_hidden
from macaroon_cbat.resource.key_file import KeyFile
from macaroon_cbat.resource.metrics import count_refused, count_unavailable, count_verified
from macaroon_cbat.resource.overrides import Overrides, why_method_is_unknown, why_path_is_unknown

Clock = Callable[[], float]
"""Tells the seconds since the epoch."""

_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}\Z")
_COMMON_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class TokenVerifier(Protocol):
    """Verifies the tokens of one audience."""

    @property
    def issuer(self) -> str:
        """The service whose tokens are accepted."""

    @property
    def audience(self) -> str:
        """The audience whose tokens are accepted."""

    def verify(self, text: str, access: Access, *, require_certificate: bool) -> Principal:
        """Return who presents the token, or raise InvalidToken, or Unavailable when nobody can tell."""


class AudienceKeySource(KeySource, Protocol):
    """The keys of one audience: a KeyFile, a KeyFeed, or AudienceKeys in memory."""

    @property
    def issuer(self) -> str:
        """The service that mints for these keys."""

    @property
    def audience(self) -> str:
        """The one audience these keys verify."""


class OfflineVerifier:
    """Verifies with the audience's keys, without a call. Revocations it sees only in a feed of them."""

    def __init__(self, keys: AudienceKeySource, revocations: RevocationFeed | None = None) -> None:
        """Verify with these keys, and refuse what the feed says is revoked."""
        self._keys = keys
        self._revocations = revocations
        self.audience = keys.audience
        self.announces_blocking = (isinstance(keys, AudienceKeys) or announces_blocking(keys)) and (
            revocations is None or announces_blocking(revocations)
        )
        if revocations is not None and revocations.issuer != keys.issuer:
            raise SettingsError(f"keys of {keys.issuer}, but revocations of {revocations.issuer}")

    @property
    def issuer(self) -> str:
        """The service that minted for the keys, as the key file says now."""
        return self._keys.issuer

    def verify(self, text: str, access: Access, *, require_certificate: bool) -> Principal:
        """Return who presents the token, or raise InvalidToken, or Unavailable when nobody can tell."""
        feed = self._revocations
        try:
            return verify(text, self._keys, access, require_certificate=require_certificate, revocations=feed)
        except Unavailable:
            if feed is None or feed.introspection is None:
                raise
        return feed.introspection.verify(text, access, require_certificate=require_certificate)


class PresentedRequest(Struct, frozen=True, kw_only=True):
    """What an adapter reads of a request; `path` is percent-decoded, as the application routes it.

    A path is None where it is not known, and `why_no_path` says why. `overrides` are headers by which an
    application may take another path or method, and `is_method_known` says that none names another method.
    `address` is the client's as the server shows it, which a header may have written; `is_address_known` says
    that it is known better.
    `authorization` is the header's value, or all of them where the server keeps several apart.
    """

    now: EpochSeconds
    authorization: str | tuple[str, ...] | None
    connection: RequestConnection
    method: str
    path: str | None
    address: str | None
    why_no_path: str | None = None
    is_address_known: bool = False
    is_method_known: bool = True
    overrides: Overrides = ()


class Admission(Struct, frozen=True, kw_only=True):
    """The rules of one resource server. `origin`, for `htu` and `path` caveats, never comes from Host.

    Its clock and the service's may differ by `clock_skew` seconds. `presented` finds client certificates.
    `root_path` is where the deployment mounts the application. `explain` tells every client the whole reason.
    """

    verifier: TokenVerifier
    certificate_source: CertificateSource = tls_connection
    require_certificate: bool = True
    origin: str | None = None
    root_path: str = ""
    clock_skew: int = 0
    clock: Clock = time.time
    explain: bool = False

    def now(self) -> EpochSeconds:
        """Read the clock, which every request does once."""
        return EpochSeconds(int(self.clock()))

    def admit(self, request: PresentedRequest, scope: str = "") -> Principal:
        """Return the principal of a request that may pass; any OAuthError or Unavailable refuses it."""
        presented = NO_CERTIFICATE
        if request.overrides:
            request = _without_overridden(request, self.root_path)
        try:
            _check_method(request.method)
            presented = self.certificate_source(request.connection)
            principal = self._admit(request, presented, scope)
        except (OAuthError, Unavailable) as error:
            self.write_or_log_refusal(error, request, presented)
            raise
        _warn_ignored(presented)
        count_verified(principal)
        return principal

    def write_or_log_refusal(
        self,
        error: OAuthError | Unavailable,
        request: PresentedRequest,
        presented: PresentedCertificate = NO_CERTIFICATE,
    ) -> None:
        """Audit and count why a request does not pass: adapters say so of what they refuse by themselves."""
        _warn_ignored(presented)
        reason = reason_of(error, request, presented)
        if self.explain:
            error.told = reason
        if isinstance(error, Unavailable):
            if isinstance(error, ServerMisconfigured):
                log_misconfigured(error, request)
            count_unavailable(error)
            return
        write_or_log_refusal(error, reason, request, presented, self.verifier.audience)
        count_refused(error)

    def _admit(self, request: PresentedRequest, presented: PresentedCertificate, scope: str) -> Principal:
        text = read_bearer(request.authorization)
        known = request.is_address_known
        access = Access(
            now=request.now,
            clock_skew=self.clock_skew,
            audience=self.verifier.audience,
            certificate=presented.thumbprint,
            method=request.method if request.is_method_known else None,
            target=_target(self.origin, request.path),
            address=request.address
            if known
            else client_address(request.connection, presented, request.address),
        )
        try:
            principal = self.verifier.verify(text, access, require_certificate=self.require_certificate)
        except InvalidToken as error:
            refuse_hidden(error, text, presented)
            raise
        require_scope(principal, scope)
        return principal


def _without_overridden(request: PresentedRequest, root_path: str) -> PresentedRequest:
    """Return the request without the path, or the method, of which a header says something else."""
    why_path = why_path_is_unknown(request.overrides, request.path, root_path)
    why_method = why_method_is_unknown(request.overrides, request.method)
    whys = [why for why in (request.why_no_path, why_path, why_method) if why is not None]
    return replace(
        request,
        path=None if why_path else request.path,
        is_method_known=why_method is None,
        why_no_path="; ".join(whys) or None,
    )


def _check_method(method: str) -> None:
    """Raise InvalidRequest for a method in other letters: frameworks dispatch `delete` as DELETE."""
    if method not in _COMMON_METHODS and not _METHOD.match(method):
        raise InvalidRequest(f"the method is not in capital letters: {method[:32]!r}")


def _warn_ignored(presented: PresentedCertificate) -> None:
    """Say that a header was not believed, once the request is judged: not when it is judged once more."""
    if presented.ignored is not None:
        warn_ignored(presented.ignored)


def _target(origin: str | None, path: str | None) -> Target | None:
    return None if origin is None or path is None else Target(origin, path)


def offline_or(
    keys: AudienceKeySource | Path | str | None,
    verifier: TokenVerifier | None,
    revocations: RevocationFeed | None = None,
) -> TokenVerifier:
    """Return the verifier that the deployer chose: keys, or another verifier, never both or neither."""
    if (keys is None) == (verifier is None):
        raise SettingsError(
            "the guard needs keys (a key file) or a verifier such as Introspection, one of them"
        )
    if verifier is not None:
        if revocations is not None:
            raise SettingsError("revocations go with keys: a verifier has its own way to know them")
        return verifier
    assert keys is not None
    return OfflineVerifier(KeyFile(Path(keys)) if isinstance(keys, str | Path) else keys, revocations)
