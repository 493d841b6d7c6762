"""The binding of one request, for every HTTP library: token, certificate and terms make a child."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol, Unpack, runtime_checkable
from urllib.parse import urlsplit

from macaroon_cbat.client.certificate import ClientCertificate, Credentials
from macaroon_cbat.client.children import ChildSettings, ChildTerms, LastParent, Parent, request_child
from macaroon_cbat.client.clock import compare_clocks, compare_with_token
from macaroon_cbat.client.discharges import DischargeClient
from macaroon_cbat.errors import OAuthError, SettingsError
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.credential_headers import DISCHARGE
from macaroon_cbat.macaroon.minting import bind_discharge

TokenSource = str | Callable[[], str]
"""A token, or a function that returns one at each request, for example a TokenClient."""


@runtime_checkable
class RenewableSource(Protocol):
    """A source that keeps its token until it is told that a resource server rejected it."""

    def __call__(self) -> str:
        """Return a token."""

    def discard(self, token: str) -> None:
        """Return another token from now on."""


_INVALID_TOKEN = re.compile(r'\berror="?invalid_token\b')


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """A child and its parts: only a connection that presents `credentials` can use it."""

    child: str = field(repr=False)
    token: str = field(repr=False)
    credentials: Credentials
    terms: ChildTerms
    method: str
    uri: str
    made_at: float
    """Seconds since the epoch, by this machine's clock."""
    certificate: ClientCertificate | None = None
    """The certificate that gave the credentials."""
    discharges: tuple[str, ...] = field(default=(), repr=False)
    """The discharges that the token needs, not bound yet."""

    @property
    def authorization(self) -> str:
        """The value of the Authorization header (RFC 6750 2.1)."""
        return f"Bearer {self.child}"

    @property
    def further_headers(self) -> dict[str, str]:
        """The headers beside Authorization: the discharges, each bound to this very child."""
        return discharge_headers(self.child, self.discharges)

    def for_request(self, method: str, uri: str) -> "Bound":
        """Return itself, or a new child if a redirect led to another method or target."""
        if (method, uri) == (self.method, self.uri):
            return self
        anew = bind(self.token, self.credentials, self.terms, method, uri)
        return replace(anew, certificate=self.certificate, discharges=self.discharges)

    def credentials_in(self, certificate: ClientCertificate) -> Credentials:
        """Return what a connection of a session with this certificate presents for the child.

        Raises SettingsError if the session presents another certificate than the child is bound to.
        """
        if certificate is not self.certificate:
            raise SettingsError(
                f"this session presents {certificate!r}, but its MacaroonAuth binds tokens to "
                f"{self.certificate!r}: give both the same ClientCertificate object"
            )
        return self.credentials


def outside_session(factory: str) -> SettingsError:
    """Return the error of a MacaroonAuth whose request would go over a connection without its certificate."""
    return SettingsError(
        "a MacaroonAuth works only over connections that present its certificate, which this request's does "
        f"not: send it in a session that {factory} made"
    )


def require_https(uri: str) -> None:
    """Raise SettingsError unless a request goes to an https URL: a token must not leak."""
    if not uri.lower().startswith("https://"):
        raise SettingsError(
            f"a token is sent over https only: request {urlsplit(uri).hostname} by an https:// URL"
        )


@contextmanager
def unusable_token() -> Iterator[None]:
    """Raise SettingsError in place of an error that a token causes.

    In a resource server that calls another one, an OAuthError would blame its own caller.
    """
    try:
        yield
    except (OAuthError, ValueError) as error:
        raise SettingsError(f"this token is of no use for this request: {error}") from error


def discharge_headers(child: str, discharges: Sequence[str]) -> dict[str, str]:
    """Return the header of these discharges, each bound to this very child; none without discharges."""
    if not discharges:
        return {}
    return {DISCHARGE: ",".join(bind_discharge(child, text) for text in discharges)}


def token_of(source: TokenSource) -> str:
    """Return the token of a source for the next request, or raise what the source raises."""
    return source if isinstance(source, str) else source()


def bind(
    token: str,
    credentials: Credentials,
    terms: ChildTerms,
    method: str,
    uri: str,
    *,
    parents: LastParent | None = None,
) -> Bound:
    """Return the child of one request, made now. Raises SettingsError if it could only leak or fail."""
    require_https(uri)
    made_at = time.time()
    now = EpochSeconds(int(made_at))
    with unusable_token():
        parent: str | Parent = token if parents is None else parents.of(token)
        child = request_child(parent, credentials.thumbprint, terms, method, uri, now=now)
    return Bound(child, token, credentials, terms, method, uri, made_at)


class Holder:
    """A source of tokens, the certificate they are bound to, and the terms of their children. Thread-safe."""

    def __init__(
        self,
        source: TokenSource,
        certificate: ClientCertificate,
        discharges: DischargeClient | None = None,
        **settings: Unpack[ChildSettings],
    ) -> None:
        self._source = source
        self._discharges = discharges
        self._terms = ChildTerms(**settings)
        self._parents = LastParent()
        self.certificate = certificate

    def bind(self, method: str, uri: str) -> Bound:
        """Return a fresh child for one request, or raise what the source or `bind` raises."""
        credentials, token = self.certificate.current(), token_of(self._source)
        if credentials is not self.certificate.current():
            # Some tokens come bound to the certificate that was in use when they were fetched.
            credentials, token = self.certificate.current(), token_of(self._source)
        discharges = () if self._discharges is None else self._discharges.collect(token)
        bound = bind(token, credentials, self._terms, method, uri, parents=self._parents)
        return replace(bound, certificate=self.certificate, discharges=discharges)

    def bind_anew(self, rejected: Bound) -> Bound | None:
        """Return a child of a fresh token for the same request; None if there is no other token.

        None also if a person has just decided about the discharges of the rejected one.
        """
        if self._discharges is not None and not self._discharges.discard(rejected.token):
            return None
        if isinstance(self._source, RenewableSource):
            self._source.discard(rejected.token)
        if isinstance(self._source, str) or self._source() == rejected.token:
            return None
        return self.bind(rejected.method, rejected.uri)

    def hear(self, bound: Bound, uri: str, date: str | None, age: str | None) -> None:
        """Warn, once, if an answer to this child or its token shows that a clock is wrong.

        `date` and `age` are header fields of the answer from `uri`.
        """
        lifetime = self._terms.lifetime
        if not compare_clocks(urlsplit(uri).netloc, date, age, sent=bound.made_at, lifetime=lifetime):
            compare_with_token(bound.token, now=time.time(), lifetime=lifetime)


def is_rejected(status: int, challenge: str | None) -> bool:
    """Return True if a resource server rejects the token itself (RFC 6750 3.1)."""
    return status == 401 and challenge is not None and _INVALID_TOKEN.search(challenge) is not None
