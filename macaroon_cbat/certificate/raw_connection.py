"""The connection of a server that shows all header fields as they came."""

from collections.abc import Iterable

from macaroon_cbat.certificate.header_fields import HeaderFields
from macaroon_cbat.certificate.thumbprint import DerCertificate


class RawConnection:
    """The connection of one request, with its raw header fields."""

    __slots__ = ("_address", "_is_unix_socket", "fields", "header")

    def __init__(
        self,
        fields: Iterable[tuple[bytes, bytes]],
        *,
        address: str | None,
        is_unix_socket: bool,
    ) -> None:
        """Take the fields as they came, and the facts of the connection."""
        self._address, self._is_unix_socket = address, is_unix_socket
        self.fields = tuple(fields)
        self.header = HeaderFields(self.fields).one

    def certificate(self) -> None:
        """Return None: a proxy ends TLS, and tells the certificate in a header field."""

    def intermediates(self) -> tuple[DerCertificate, ...]:
        """Return none: the service alone builds paths, and it reads no raw fields."""
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
        """Return True if the request came over a Unix socket."""
        return self._is_unix_socket

    def merges_trailers(self) -> bool:
        """Return False: the fields are those of the header alone."""
        return False
