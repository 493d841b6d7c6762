"""The question of Envoy over gRPC: its own connection, and the client's request and certificate."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

from macaroon_cbat.certificate.address import plain_address
from macaroon_cbat.certificate.formats import read_escaped_pem
from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.errors import ProxyMisconfigured
from macaroon_cbat.gateway.question import Facts, Kind, authorization_of, credentials_of
from macaroon_cbat.text.short_memory import remembering

if TYPE_CHECKING:
    from envoy.service.auth.v3.attribute_context_pb2 import AttributeContext

_PEER = re.compile(r"ipv[46]:(?:\[([^]]+)\]|([^:]+)):\d+\Z")


class EnvoyConnection:
    """The gRPC connection of Envoy, with the certificate of Envoy's own TLS connection to the client."""

    __slots__ = ("_raw", "_source")

    def __init__(
        self,
        metadata: Iterable[tuple[str, str | bytes]],
        *,
        peer: str,
        is_unix_socket: bool,
        source: "AttributeContext.Peer",
    ) -> None:
        """Take metadata and peer as gRPC has them; `source` is the client as Envoy describes it."""
        fields = [(_bytes(name), _bytes(value)) for name, value in metadata]
        address = None if is_unix_socket else _address_of(peer)
        self._raw = RawConnection(fields, address=address, is_unix_socket=is_unix_socket)
        self._source = source

    def certificate(self) -> DerCertificate | None:
        """Return the certificate that the client presented to Envoy, or None.

        Raises AmbiguousHeader for text that is no certificate, and ProxyMisconfigured if Envoy names the
        client after a certificate and does not send it.
        """
        text = self._source.certificate
        if text:
            return remembered_certificate(text)
        if self._source.principal:
            raise ProxyMisconfigured(
                "Envoy does not send the client certificate that it has: set include_peer_certificate: true"
            )
        return None

    def intermediates(self) -> tuple[DerCertificate, ...]:
        """Return none: the service alone builds paths, and Envoy asks a gateway."""
        return ()

    def why_hidden(self) -> None:
        """Return None: Envoy reports no connection on which it could not request a certificate."""

    def shows_address(self) -> bool:
        """Return True: gRPC names the connection's own address."""
        return True

    def merges_trailers(self) -> bool:
        """Return False: gRPC's metadata are of the header alone."""
        return False

    def address(self) -> str | None:
        """Return Envoy's own address; None over a Unix socket."""
        return self._raw.address()

    def is_unix_socket(self) -> bool:
        """Return True if Envoy asks over a Unix socket."""
        return self._raw.is_unix_socket()

    def header(self, name: str) -> str | None:
        """Return a header that Envoy itself sent (`initial_metadata`), never one of the client."""
        return self._raw.header(name)


class EnvoyQuestion:
    """A CheckRequest, which describes the client's request."""

    __slots__ = ("_attributes", "connection")

    def __init__(self, connection: EnvoyConnection, attributes: "AttributeContext") -> None:
        """Keep both; nothing is read yet."""
        self.connection, self._attributes = connection, attributes

    def facts(self, _kind: Kind, _prefix: str, /) -> Facts:
        """Return the client's request. Raises InvalidRequest or ProxyMisconfigured if it cannot be told."""
        http = self._attributes.request.http
        if not http.method:
            raise ProxyMisconfigured(
                "Envoy does not send the method of the request: check the ext_authz filter"
            )
        client = RawConnection(self._fields(), address=None, is_unix_socket=False)
        address = self._attributes.source.address.socket_address.address
        is_address = plain_address(address) is not None
        return Facts(
            http.method,
            http.path,
            authorization_of(client),
            address if is_address else None,
            credentials_of(client),
        )

    def is_for(self, _path: str, /) -> bool:
        """Return False: there is no document over gRPC."""
        return False

    def _fields(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the client's headers: joined by Envoy, or one by one with `encode_raw_headers: true`."""
        http = self._attributes.request.http
        for name, value in http.headers.items():
            yield _bytes(name), _bytes(value)
        for field in http.header_map.headers:
            yield _bytes(field.key), field.raw_value or _bytes(field.value)


@remembering(1024, longest=4096)
def remembered_certificate(text: str) -> DerCertificate | None:
    """Return the certificate that this text is, whole. Remembered: a client's comes with each request."""
    return read_escaped_pem(text).certificate


@remembering(1024)
def _address_of(peer: str) -> str | None:
    found = _PEER.match(unquote(peer))
    return None if found is None else found[1] or found[2]


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1", "replace")
