"""The connection of a server that shows all header fields as they came."""

from collections.abc import Iterable

from macaroon_cbat.certificate.header_fields import UNREAD, Field, layout_of
from macaroon_cbat.certificate.thumbprint import DerCertificate


class RawConnection:
    """The connection of one request, with its raw header fields."""

    __slots__ = ("_address", "_is_unix_socket", "_layout", "fields")

    def __init__(self, fields: Iterable[Field], *, address: str | None, is_unix_socket: bool) -> None:
        """Take the fields as they came, and the facts of the connection."""
        self._address, self._is_unix_socket = address, is_unix_socket
        self.fields = tuple(fields)
        self._layout = layout_of(self.fields)

    @property
    def names(self) -> frozenset[bytes]:
        """The names of all fields, in small letters."""
        return self._layout.names

    def header(self, name: str) -> str | None:
        """Return the value of a header, or None. Raises AmbiguousHeader for two, or a misspelled name."""
        place = self._layout.places.get(name, UNREAD)
        if place == UNREAD:
            place = self._layout.place(name)
        return None if place is None else self.fields[place][1].decode("latin-1").strip(" \t")

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
