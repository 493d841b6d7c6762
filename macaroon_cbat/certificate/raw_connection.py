"""A connection whose header fields are all known as they came."""

from collections.abc import Iterable

from macaroon_cbat.certificate.header_fields import HeaderFields
from macaroon_cbat.certificate.thumbprint import DerCertificate


class RawConnection:
    """The connection of one request whose raw header fields are known."""

    __slots__ = ("_address", "_certificate", "_is_unix_socket", "header")

    def __init__(
        self,
        fields: Iterable[tuple[bytes, bytes]],
        *,
        address: str | None,
        is_unix_socket: bool,
        certificate: DerCertificate | None = None,
    ) -> None:
        """Take the fields as they came, and what is known of the connection."""
        self._address, self._is_unix_socket = address, is_unix_socket
        self._certificate = certificate
        self.header = HeaderFields(fields).one

    def certificate(self) -> DerCertificate | None:
        """Return the certificate of the connection itself, where there is TLS and there is one."""
        return self._certificate

    def intermediates(self) -> tuple[DerCertificate, ...]:
        """Return nothing: only the service builds paths, and it is no such server."""
        return ()

    def why_hidden(self) -> None:
        """Return None: a client without a certificate presented none."""

    def shows_address(self) -> bool:
        """Return True: the address is the connection's own."""
        return True

    def address(self) -> str | None:
        """Return the IP address at the other end; None over a Unix socket."""
        return self._address

    def is_unix_socket(self) -> bool:
        """Tell whether the request came over a Unix socket."""
        return self._is_unix_socket

    def merges_trailers(self) -> bool:
        """Return False: the fields are those of the header alone."""
        return False
