"""The question of Envoy over gRPC: its own connection, and the client's request and certificate."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

from macaroon_cbat.certificate.address import plain_address
from macaroon_cbat.certificate.formats import read_escaped_pem
from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.certificate.source import CertificateSource, PresentedCertificate, presented_certificate
from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.errors import ProxyMisconfigured
from macaroon_cbat.gateway.question import Facts, Kind, authorization_of, credentials_of
from macaroon_cbat.text.short_memory import remembering

if TYPE_CHECKING:
    from envoy.service.auth.v3.attribute_context_pb2 import AttributeContext

_PEER = re.compile(r"ipv[46]:(?:\[([^]]+)\]|([^:]+)):\d+\Z")


def envoy_connection(
    metadata: Iterable[tuple[str, str | bytes]], *, peer: str, is_unix_socket: bool
) -> RawConnection:
    """Return the gRPC connection of Envoy, with metadata and peer as gRPC has them: none is of the client."""
    fields = [(_bytes(name), _bytes(value)) for name, value in metadata]
    address = None if is_unix_socket else _address_of(peer)
    return RawConnection(fields, address=address, is_unix_socket=is_unix_socket)


class EnvoyQuestion:
    """A CheckRequest, which describes the client's request."""

    __slots__ = ("_attributes", "connection")

    def __init__(self, connection: RawConnection, attributes: "AttributeContext") -> None:
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

    def presented(self, _source: CertificateSource, /) -> PresentedCertificate:
        """Return the certificate that the client presented to Envoy, which no header tells.

        Raises AmbiguousHeader for text that is no certificate, and ProxyMisconfigured if Envoy names the
        client after a certificate and does not send it.
        """
        source = self._attributes.source
        if source.principal and not source.certificate:
            raise ProxyMisconfigured(
                "Envoy does not send the client certificate that it has: set include_peer_certificate: true"
            )
        return presented_certificate(
            remembered_certificate(source.certificate) if source.certificate else None
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
