"""The resource server as a client of the service: its own certificate-bound token, its keys, its feed.

The stored token is unbound; each request carries a child that is bound to the certificate of this very
connection, lives for a minute and has the one scope that is needed.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from msgspec import Meta, Struct

from macaroon_cbat.certificate.file import der_of
from macaroon_cbat.certificate.thumbprint import Thumbprint, thumbprint_of
from macaroon_cbat.errors import Refused, Unavailable
from macaroon_cbat.files.process_values import ProcessLock
from macaroon_cbat.macaroon.caveats import Expiry, Scope, confirmation
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.issuers import metadata_url, plain_issuer
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.resource.clock_skew import checked_skew, seconds_ahead
from macaroon_cbat.resource.https import Connections, Question
from macaroon_cbat.resource.own_connections import OwnConnections
from macaroon_cbat.text.json_text import UnusableJson, read_json_text

CHILD_SECONDS = 60
MAX_ANSWER_BYTES = 8 << 20
_LONGEST_PAGE_SECONDS = 30.0
_HttpsUri = Annotated[str, Meta(pattern=r"^https://[!-~]+\Z")]
_Shape = TypeVar("_Shape", bound=Struct)


class _Endpoints(Struct, frozen=True):
    token_endpoint: _HttpsUri
    audience_keys_endpoint: _HttpsUri
    revocation_feed_endpoint: _HttpsUri


class _Metadata(Struct, frozen=True):
    issuer: str
    mtls_endpoint_aliases: _Endpoints


class _Granted(Struct, frozen=True):
    access_token: str
    expires_in: Annotated[int, Meta(gt=0)]


class _OAuthError(Struct, frozen=True):
    error: str = ""
    error_description: str = ""


@dataclass(slots=True)
class _Link:
    """Connections that present one certificate, and what was obtained over them."""

    connections: Connections
    thumbprint: Thumbprint
    endpoints: _Endpoints | None = None
    token: str = ""
    renew_at: float = 0.0
    seconds_ahead: float = 0.0


class ServiceConnection:
    """Asks the service as one registered resource server. Thread-safe, and safe to fork.

    With `client_secret` it authenticates by that, without by its certificate (RFC 8705 2). `certificate`
    is a PEM file, leaf first, with the private key in `key` or in the same file; both are read again when
    they change. `ca` is the PEM bundle that the service's own certificate is verified with. An exchange
    takes `timeout` seconds at most; a page of the revocation feed may take 30 more to arrive. When the
    service's clock and this one differ by more than `clock_skew` seconds, nothing is asked: Unavailable
    says by how much.
    """

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str | None = None,
        *,
        certificate: Path | str,
        key: Path | str | None = None,
        ca: Path | str | None = None,
        timeout: float = 5,
        clock_skew: int = 30,
    ) -> None:
        """Check the files; nothing is asked yet. Raises SettingsError that says what is wrong."""
        self.issuer = plain_issuer(issuer)
        self.timeout = timeout
        self._clock_skew = checked_skew(clock_skew)
        self._client_id, self._client_secret = client_id, client_secret
        self._files = Path(certificate), Path(key or certificate)
        self._own = OwnConnections(ca, self._files, "the connection to the service")
        self._lock = ProcessLock()
        self._link: _Link | None = None

    def __repr__(self) -> str:
        """Show whom it asks and as whom."""
        return f"<ServiceConnection of {self._client_id} to {self.issuer}>"

    def keys(self, audience: str) -> bytes:
        """Return the body of the keys endpoint for this audience, or raise Refused or Unavailable."""
        return self._get("keys", {"audience": audience}, 0)

    def revocations(self, after: str, wait: int) -> bytes:
        """Return the body of the revocation feed after this cursor, or raise Refused or Unavailable.

        The service waits up to `wait` seconds for a revocation when there is none yet.
        """
        return self._get("revocations", {"after": after, "wait": str(wait)}, wait)

    def _get(self, scope: Literal["keys", "revocations"], query: dict[str, str], wait: int) -> bytes:
        try:
            return self._get_once(scope, query, wait)
        except Refused as refusal:
            if refusal.status != 401:
                raise
        # The certificate was being replaced, or the token taken back: both are obtained anew, once.
        with self._lock.current():
            self._link = None
        return self._get_once(scope, query, wait)

    def _get_once(self, scope: Literal["keys", "revocations"], query: dict[str, str], wait: int) -> bytes:
        with self._lock.current():
            link = self._ready_link()
            assert link.endpoints is not None
        service_time = time.time() + link.seconds_ahead
        narrowed = Expiry(EpochSeconds(int(service_time) + CHILD_SECONDS)), Scope(scope)
        child = attenuate(link.token, [confirmation(link.thumbprint), *narrowed])
        endpoints = link.endpoints
        url = endpoints.audience_keys_endpoint if scope == "keys" else endpoints.revocation_feed_endpoint
        longest = self.timeout + wait + (_LONGEST_PAGE_SECONDS if scope == "revocations" else 0)
        question = self._question("GET", url, wait, longest=longest, query=query)
        return _exchange(link, replace(question, authorization=f"Bearer {child}"))

    def _ready_link(self) -> _Link:
        """Return a link with this process's connections, today's certificate and a live token."""
        link, connections = self._link, self._own.current()
        if link is None or link.connections is not connections:
            link = self._link = _Link(connections, self._thumbprint())
        if link.endpoints is None:
            link.endpoints = self._discover(link)
        if time.monotonic() >= link.renew_at:
            self._fetch_token(link, link.endpoints.token_endpoint)
        return link

    def _discover(self, link: _Link) -> _Endpoints:
        """Return the endpoints meant for mutual TLS that the issuer publishes (RFC 8414 3, RFC 8705 5)."""
        url = metadata_url(self.issuer)
        metadata = _read(_exchange(link, self._question("GET", url)), _Metadata, url)
        if metadata.issuer != self.issuer:
            named, remedy = repr(metadata.issuer[:200]), "give that one, if it is the service you mean"
            raise Refused(200, None, f"the issuer at {self.issuer} is {named}, another server: {remedy}")
        return metadata.mtls_endpoint_aliases

    def _fetch_token(self, link: _Link, url: str) -> None:
        """Obtain a token for the service itself (RFC 6749 4.4, RFC 8707 2)."""
        started, asked_at = time.monotonic(), time.time()
        form = {"grant_type": "client_credentials", "client_id": self._client_id, "resource": self.issuer}
        if self._client_secret is not None:
            form["client_secret"] = self._client_secret
        granted = _read(_exchange(link, self._question("POST", url, form=form)), _Granted, url)
        link.seconds_ahead = seconds_ahead(
            granted.access_token, asked_at, time.time(), issuer=self.issuer, skew=self._clock_skew
        )
        link.token, link.renew_at = granted.access_token, started + granted.expires_in / 2

    def _question(
        self,
        method: str,
        url: str,
        wait: int = 0,
        *,
        longest: float | None = None,
        query: dict[str, str] | None = None,
        form: dict[str, str] | None = None,
    ) -> Question:
        return Question(
            method=method,
            url=url,
            timeout=self.timeout + wait,
            longest=longest,
            limit=MAX_ANSWER_BYTES,
            query=query,
            form=form,
        )

    def _thumbprint(self) -> Thumbprint:
        try:
            return thumbprint_of(der_of(self._files[0].read_bytes(), str(self._files[0])))
        except (OSError, ValueError) as error:
            raise Unavailable(f"the client certificate cannot be read: {error}") from error


def _exchange(link: _Link, question: Question) -> bytes:
    status, body = link.connections.exchange(question)
    if status == 200:
        return body
    if status >= 500:
        raise Unavailable(f"{question.url} answered {status}")
    try:
        refusal = read_json_text(body, _OAuthError)
    except UnusableJson:
        refusal = _OAuthError()
    raise Refused(status, refusal.error[:100] or None, refusal.error_description[:500])


def _read(body: bytes, shape: type[_Shape], url: str) -> _Shape:
    try:
        return read_json_text(body, shape)
    except UnusableJson as error:
        raise Refused(200, None, f"{url} does not answer as this service does: {error}") from error
