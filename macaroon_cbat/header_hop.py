"""A hop whose header fields are all there, raw and in order, as HTTP parsers give them."""

from collections.abc import Iterable

from macaroon_cbat.errors import AmbiguousCertificate
from macaroon_cbat.thumbprint import DerCertificate

_FOLDED = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ-.", b"abcdefghijklmnopqrstuvwxyz__")
"""What some server behind some proxy takes for one and the same name."""

_TWICE = (b"", b"")


class HeaderHop:
    """The hop of one request whose raw header fields are known: nothing was merged, nothing dropped."""

    __slots__ = ("_address", "_certificate", "_fields", "_is_unix_socket")

    def __init__(
        self,
        fields: Iterable[tuple[bytes, bytes]],
        *,
        address: str | None,
        is_unix_socket: bool,
        certificate: DerCertificate | None = None,
    ) -> None:
        """Take the fields as they came: name and value, in any letter case, repeated ones repeated."""
        self._address, self._is_unix_socket = address, is_unix_socket
        self._certificate = certificate
        folded: dict[bytes, tuple[bytes, bytes]] = {}
        for field in fields:
            name = field[0].translate(_FOLDED)
            folded[name] = _TWICE if name in folded else field
        self._fields = folded

    def certificate(self) -> DerCertificate | None:
        """Return the certificate of the connection itself, where there is TLS and there is one."""
        return self._certificate

    def address(self) -> str | None:
        """Return the IP address at the other end; None over a Unix socket."""
        return self._address

    def is_unix_socket(self) -> bool:
        """Tell whether the request came over a Unix socket."""
        return self._is_unix_socket

    def header(self, name: str) -> str | None:
        """Return the one value of a header, or None; AmbiguousCertificate for two, or a misspelled one."""
        wanted = name.lower().encode("ascii")
        field = self._fields.get(wanted.translate(_FOLDED))
        if field is None:
            return None
        if field is _TWICE:
            raise AmbiguousCertificate(f"{name}, or a header that looks like it, came more than once")
        if field[0].lower() != wanted:
            raise AmbiguousCertificate(
                f"a header that looks like {name} came as {field[0].decode('latin-1')!r}"
            )
        return field[1].decode("latin-1").strip(" \t")
