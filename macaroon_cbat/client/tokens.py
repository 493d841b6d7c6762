"""Obtaining tokens by client credentials: discovery (RFC 8414), client authentication, one cached token."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import quote

from msgspec import Meta, Struct

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.client.certificate import ClientCertificate, server_trust
from macaroon_cbat.client.children import confirmations
from macaroon_cbat.errors import MalformedMacaroon, Refused, SettingsError
from macaroon_cbat.errors.extras import require
from macaroon_cbat.files.process_values import ProcessLock
from macaroon_cbat.macaroon.issuers import is_same_issuer, metadata_url, plain_issuer
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.text.json_text import UnusableJson, read_json_text

_HttpsUri = Annotated[str, Meta(pattern=r"^https://[!-~]+\Z")]
_Answer = TypeVar("_Answer", bound=Struct)


class _Aliases(Struct, frozen=True):
    token_endpoint: _HttpsUri | None = None


class _Metadata(Struct):
    """What is needed of RFC 8414 2 and RFC 8705 5."""

    issuer: str
    token_endpoint: _HttpsUri
    mtls_endpoint_aliases: _Aliases = _Aliases()


class _Granted(Struct):
    """A successful answer (RFC 6749 5.1). `expires_in`, in seconds, is not optional here."""

    access_token: str
    token_type: Annotated[str, Meta(pattern="^(?i:bearer)\\Z")]
    expires_in: Annotated[int, Meta(gt=0)]


class _OAuthError(Struct):
    """An error answer (RFC 6749 5.2)."""

    error: Annotated[str, Meta(pattern=r"^[\x20\x21\x23-\x5b\x5d-\x7e]{1,100}\Z")]
    error_description: str = ""


@dataclass(frozen=True, slots=True)
class _Cached:
    token: str = field(repr=False)
    bound_to: frozenset[Thumbprint]
    renew_at: float


@dataclass(kw_only=True, eq=False)
class TokenClient:
    """A client of one authorization server; call it for a token that is still good. Thread-safe.

    With `client_secret` it authenticates by client_secret_basic, without by the certificate
    (RFC 8705 2). With a certificate it uses the endpoint meant for mutual TLS (RFC 8705 5). `ca` is a
    PEM file, None means the system's CAs; `scope` is space-separated; `resource` is the one audience
    (RFC 8707). A call raises Refused when the service says no or answers nonsense, Unavailable when
    it cannot be asked. Unusable settings are a SettingsError.
    """

    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    certificate: ClientCertificate | None = None
    ca: Path | str | None = None
    scope: str | None = None
    resource: str | None = None
    leeway: float = 30
    """Seconds before expiry from which on a new token is fetched; half its lifetime at most."""
    timeout: float = 10
    """Seconds to wait for a connection, and for each part of an answer."""
    _cached: _Cached | None = field(default=None, init=False, repr=False)
    _endpoint: str | None = field(default=None, init=False, repr=False)
    _lock: ProcessLock = field(default_factory=ProcessLock, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what could not work, before the first request."""
        require("requests", "requests")
        plain_issuer(self.issuer)
        if self.client_secret is None and self.certificate is None:
            raise SettingsError("a client authenticates by a secret or a certificate: give one of them")

    def __call__(self) -> str:
        """Return a token, from the cache while it is good; of calls at the same time, one fetches."""
        cached = self._good()
        if cached is None:
            with self._lock.current():
                cached = self._good()
                if cached is None:
                    cached = self._cached = self._fetch()
        return cached.token

    def discard(self, token: str) -> None:
        """Forget this token, which a resource server rejected, unless another one took its place."""
        with self._lock.current():
            if self._cached is not None and self._cached.token == token:
                self._cached = None

    def endpoint(self) -> str:
        """Return the token endpoint in use, found like a token is; raises what a call raises."""
        self()
        return self._endpoint or self._discover()

    def _good(self) -> _Cached | None:
        cached = self._cached
        if cached is None or time.monotonic() >= cached.renew_at:
            return None
        if cached.bound_to and self.certificate is not None:
            # Some clients get tokens that are bound already (RFC 8705 3): a new certificate needs a new one.
            return cached if cached.bound_to == {self.certificate.current().thumbprint} else None
        return cached

    def _fetch(self) -> _Cached:
        started = time.monotonic()
        granted = self._request_token()
        token = mended(granted.access_token)
        try:
            bound_to = confirmations(read_macaroon(token))
        except MalformedMacaroon as error:
            raise Refused(200, None, f"the service granted no macaroon: {error}") from error
        lifetime = granted.expires_in
        return _Cached(token, bound_to, started + max(lifetime - self.leeway, lifetime / 2))

    def _request_token(self) -> _Granted:
        """Return what the service grants for client credentials (RFC 6749 4.4)."""
        from macaroon_cbat.client.https import exchange  # attenuating and binding need no HTTP library

        credentials = None if self.certificate is None else self.certificate.current()
        context = credentials.context(self.ca) if credentials else server_trust(self.ca)
        self._endpoint = self._endpoint or self._discover()
        form = {"grant_type": "client_credentials", "scope": self.scope, "resource": self.resource}
        basic = None
        if self.client_secret is None:
            form["client_id"] = self.client_id
        else:  # RFC 6749 2.3.1, in the spelling that both kinds of decoders read: a space is %20
            basic = quote(self.client_id, safe=""), quote(self.client_secret, safe="")
        filled = {name: value for name, value in form.items() if value is not None}
        answer = exchange(context, self._endpoint, filled, basic=basic, timeout=self.timeout)
        return _read(answer, _Granted, self._endpoint)

    def _discover(self) -> str:
        """Return the token endpoint that the issuer publishes (RFC 8414 3)."""
        from macaroon_cbat.client.https import exchange

        url = metadata_url(self.issuer)
        answer = exchange(server_trust(self.ca), url, timeout=self.timeout)
        if answer[0] == 404:
            remedy = "give the issuer that the operator of the service named"
            raise Refused(404, None, f"{url} is not there, as it is at every authorization server: {remedy}")
        metadata = _read(answer, _Metadata, url)
        if not is_same_issuer(metadata.issuer, self.issuer):
            named, remedy = repr(metadata.issuer[:200]), "give that one, if it is the service you mean"
            raise Refused(200, None, f"the issuer at {self.issuer} is {named}, another server: {remedy}")
        mutual_tls = metadata.mtls_endpoint_aliases.token_endpoint
        return mutual_tls if mutual_tls and self.certificate else metadata.token_endpoint


def _read(answer: tuple[int, bytes], kind: type[_Answer], url: str) -> _Answer:
    """Return a JSON answer of status 200, or raise Refused; unknown members are ignored (RFC 6749 5.1)."""
    status, body = answer
    try:
        if status == 200:
            return read_json_text(body, kind)
    except UnusableJson as error:
        raise Refused(status, None, f"{url} does not answer as OAuth asks: {error}") from error
    raise read_refusal(status, body, url)


def read_refusal(status: int, body: bytes, url: str) -> Refused:
    """Return the error that an answer of another status than 200 says."""
    try:
        refusal = read_json_text(body, _OAuthError)
    except UnusableJson as error:
        return Refused(status, None, f"{url} does not answer as OAuth asks: {error}")
    # It ends in logs and on terminals, where control characters could pretend to be more than they are.
    description = "".join(c if c.isprintable() else "?" for c in refusal.error_description[:500])
    return Refused(status, refusal.error, description)
