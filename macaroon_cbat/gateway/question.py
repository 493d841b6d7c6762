"""What a proxy tells about the request it asks about, each kind of proxy in its own way."""

from collections.abc import Callable
from typing import Protocol
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from macaroon_cbat.certificate.address import plain_address
from macaroon_cbat.certificate.source import RequestConnection
from macaroon_cbat.errors import AmbiguousHeader, InvalidRequest, ProxyMisconfigured
from macaroon_cbat.resource.metadata import WELL_KNOWN

METHOD, URI, CLIENT = "X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-For"

TARGET = "/"
"""The path of every question but Envoy's: no client whose own request reaches the gateway has it."""


class Facts(Struct, frozen=True):
    """The request that the proxy asks about. `uri` is path and query as the client sent them."""

    method: str
    uri: str
    authorization: str | None
    address: str | None


class HttpQuestion(Struct, frozen=True):
    """One sub-request as it came over HTTP: over which connection, with which request line."""

    connection: RequestConnection
    method: str
    target: str

    def facts(self, kind: "Kind", prefix: str) -> Facts:
        """Return what a proxy of this kind says."""
        return kind.read(self, prefix)

    def is_for(self, document: str) -> bool:
        """Return True for a GET or HEAD of this very target; raise InvalidRequest for anything else there.

        Percent-encoding makes no difference: some proxies decode the target and encode it anew.

        Proxies pass on here what clients send: with a header that a proxy writes into its questions, it is
        neither the document's reader nor a question.
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
        raise InvalidRequest(f"no question is asked at {WELL_KNOWN}, where there is a document to GET")


class Question(Protocol):
    """What a proxy asks, over whatever protocol."""

    @property
    def connection(self) -> RequestConnection:
        """The proxy's own connection."""

    def facts(self, kind: "Kind", prefix: str, /) -> Facts:
        """Return what it says about the client's request, or raise InvalidRequest or ProxyMisconfigured."""

    def is_for(self, document: str, /) -> bool:
        """Return True if it is no question but reads the document there; may raise InvalidRequest."""


class Kind(Struct, frozen=True, kw_only=True):
    """A kind of proxy: how it asks, and which certificate format our configurations make it write."""

    format: str
    read: Callable[[HttpQuestion, str], Facts]
    """Takes the question and the path prefix that the proxy was told to ask under."""
    statuses: frozenset[int] | None = None
    """The refusals that it passes on; it makes a 500 of any other one."""


def read_forwarded(question: HttpQuestion, _prefix: str) -> Facts:
    """Return the facts of a proxy that writes method and target into headers: all but Envoy.

    Raises InvalidRequest for a question at another path than `/`: a client may have chosen that. The query
    says nothing: Caddy leaves the client's there.
    """
    if question.target.partition("?")[0] != TARGET:
        raise InvalidRequest(f"a question came for {question.target!r}: let the proxy ask for {TARGET}")
    return Facts(
        _told(question.connection, METHOD),
        _told(question.connection, URI),
        authorization_of(question.connection),
        _address(question.connection),
    )


def read_envoy_request(question: HttpQuestion, prefix: str) -> Facts:
    """Return the facts of Envoy, which asks with the method and target of the request, under a prefix.

    The client chooses what stands after the prefix, so that is no mistake of the deployer: `*`, for example.
    """
    uri = question.target.removeprefix(prefix)
    if uri == question.target:
        raise ProxyMisconfigured(
            f"Envoy asked for {question.target.partition('?')[0]!r}, which is not under {prefix!r}: "
            "set path_prefix of its http_service and path_prefix in [proxy] to the same"
        )
    return Facts(question.method, uri, authorization_of(question.connection), _address(question.connection))


def _plain(target: str) -> tuple[bytes, str]:
    """Return the path of a target, percent-decoded, and its query."""
    path, _, query = target.partition("?")
    return unquote_to_bytes(path.encode("latin-1")), query


def _told(connection: RequestConnection, name: str) -> str:
    """Return what the proxy says, which is empty where the client left it out (the target of CONNECT)."""
    value = _one(connection, name)
    if value is None:
        raise ProxyMisconfigured(f"the proxy does not send {name}: without it no rule can be found")
    return value


def authorization_of(connection: RequestConnection) -> str | None:
    """Return the one Authorization header, or None; raise InvalidRequest for two."""
    return _one(connection, "Authorization")


def _address(connection: RequestConnection) -> str | None:
    """Return the client's address; None, which no `ip` caveat allows, when that is not exactly one."""
    text = _one(connection, CLIENT)
    return text if text is not None and plain_address(text) is not None else None


def _one(connection: RequestConnection, name: str) -> str | None:
    """Return the one value of a header, or raise InvalidRequest when it came twice or misspelled."""
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
