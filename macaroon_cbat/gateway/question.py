"""The question of a proxy, and the request that it is about, as each kind of proxy writes it."""

from collections.abc import Callable
from typing import Protocol
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from macaroon_cbat.certificate.address import plain_address
from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.certificate.source import CertificateSource, PresentedCertificate, RequestConnection
from macaroon_cbat.errors import AmbiguousHeader, InvalidRequest, ProxyMisconfigured
from macaroon_cbat.macaroon.credential_headers import CredentialHeaders, credentials_in_headers
from macaroon_cbat.resource.metadata import WELL_KNOWN

METHOD, URI, CLIENT = "X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-For"

TARGET = "/"
"""The path of every question but Envoy's. A client's own request that reaches the gateway has another."""


class Facts(Struct, frozen=True):
    """The request that a question is about, as far as it is known. `uri` is path and query as they came."""

    method: str = ""
    uri: str = ""
    authorization: str | None = None
    address: str | None = None
    credentials: CredentialHeaders = ()


class HttpQuestion(Struct, frozen=True):
    """A question over HTTP: its connection, and its own request line."""

    connection: RawConnection
    method: str
    target: str

    def facts(self, kind: "Kind", prefix: str) -> Facts:
        """Return the request that a proxy of this kind asks about."""
        return kind.read(self, prefix)

    def presented(self, source: CertificateSource) -> PresentedCertificate:
        """Return the client's certificate, as the proxy wrote it into headers."""
        return source(self.connection)

    def is_for(self, document: str) -> bool:
        """Return True for a GET or HEAD of this very target. Raises InvalidRequest for others there.

        Percent-encoding makes no difference: some proxies decode the target and encode it anew. Proxies
        forward requests of clients to this target, so one with a header of questions is refused.
        """
        if not self.target.startswith(WELL_KNOWN):
            return False
        if (
            _plain(self.target) == _plain(document)
            and self.method in ("GET", "HEAD")
            and _one(self.connection, METHOD) is None
            and _one(self.connection, URI) is None
        ):
            return True
        raise InvalidRequest(f"{WELL_KNOWN} is a document: send GET, or send the question to {TARGET}")


class Question(Protocol):
    """A question of a proxy, over either protocol."""

    @property
    def connection(self) -> RequestConnection:
        """The connection over which the question came."""

    def facts(self, kind: "Kind", prefix: str, /) -> Facts:
        """Return the client's request. Raises InvalidRequest or ProxyMisconfigured if it cannot be told."""

    def presented(self, source: CertificateSource, /) -> PresentedCertificate:
        """Return the client's certificate, by this source if headers tell it. Raises as the source does."""

    def is_for(self, document: str, /) -> bool:
        """Return True if it is no question but a request for that document. Raises InvalidRequest."""


class Kind(Struct, frozen=True, kw_only=True):
    """A kind of proxy: its way of asking, and the certificate format that our configurations give it."""

    format: str
    read: Callable[[HttpQuestion, str], Facts]
    """Reads a question; takes the path prefix, too, under which the proxy was told to ask."""
    statuses: frozenset[int] | None = None
    """The statuses of refusals that it passes on, or None for all; it makes a 500 of any other."""


def read_forwarded(question: HttpQuestion, _prefix: str) -> Facts:
    """Return the request, of which the proxy writes method and target into headers: all kinds but Envoy.

    Raises InvalidRequest for a question at another path than `/`, which a client may have chosen. The query
    is not read: Caddy leaves the client's there.
    """
    if question.target.partition("?")[0] != TARGET:
        raise InvalidRequest(f"a question came for {question.target!r}: let the proxy send it to {TARGET}")
    header = question.connection.header
    try:  # in one piece: each question of most proxies comes here
        method, uri = header(METHOD), header(URI)
        authorization, address = header("Authorization"), header(CLIENT)
    except AmbiguousHeader as error:
        raise InvalidRequest(str(error)) from error
    return Facts(
        _told(method, METHOD),
        _told(uri, URI),
        authorization,
        _address(address),
        credentials_of(question.connection),
    )


def read_envoy_request(question: HttpQuestion, prefix: str) -> Facts:
    """Return the request of Envoy, which asks with the method and target of the request, under a prefix.

    Raises ProxyMisconfigured for a target outside the prefix. The client chooses the rest, such as `*`.
    """
    uri = question.target.removeprefix(prefix)
    if uri == question.target:
        raise ProxyMisconfigured(
            f"Envoy sent a question to {question.target.partition('?')[0]!r}, which is not under {prefix!r}: "
            "set path_prefix of its http_service and path_prefix in [proxy] to the same"
        )
    connection = question.connection
    return Facts(
        question.method,
        uri,
        authorization_of(connection),
        _address(_one(connection, CLIENT)),
        credentials_of(connection),
    )


def _plain(target: str) -> tuple[bytes, str]:
    """Return the path of a target, percent-decoded, and its query."""
    path, _, query = target.partition("?")
    return unquote_to_bytes(path.encode("latin-1")), query


def _told(value: str | None, name: str) -> str:
    """Return the header that the proxy must write; it is empty for a request without a target (CONNECT)."""
    if value is None:
        raise ProxyMisconfigured(
            f"the proxy does not send {name}, without which no rule is found: let it write the header"
        )
    return value


def authorization_of(connection: RequestConnection) -> str | None:
    """Return the Authorization header, or None. Raises InvalidRequest for two."""
    return _one(connection, "Authorization")


def credentials_of(connection: RawConnection) -> CredentialHeaders:
    """Return the headers beside Authorization that carry credentials; some may be repeated."""
    return credentials_in_headers(connection.names, connection.fields)


def _address(text: str | None) -> str | None:
    """Return the client's address; None, which no `ip` caveat allows, if the header is not exactly one."""
    return text if text is not None and plain_address(text) is not None else None


def _one(connection: RequestConnection, name: str) -> str | None:
    """Return the value of a header, or None. Raises InvalidRequest if it came twice or misspelled."""
    try:
        return connection.header(name)
    except AmbiguousHeader as error:
        raise InvalidRequest(str(error)) from error


KINDS = {
    "nginx": Kind(format="nginx", read=read_forwarded, statuses=frozenset({401, 403})),
    "traefik": Kind(format="traefik", read=read_forwarded),
    "caddy": Kind(format="caddy-sha256", read=read_forwarded),
    "haproxy": Kind(format="haproxy-sha256", read=read_forwarded),
    "envoy": Kind(format="envoy", read=read_envoy_request),
}
