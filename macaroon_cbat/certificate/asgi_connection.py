"""The connection of an ASGI scope: its certificate, its other end, its headers."""

import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from macaroon_cbat.certificate.address import plain_address
from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.errors import ProxyMisconfigured

_PEM = re.compile(r"\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*\Z")


class AsgiServer(Struct, frozen=True, kw_only=True):
    """The measured behaviour of the server that runs the application; an ASGI scope does not name it."""

    name: str = "this server"
    behind_a_proxy: str = "trust it by a secret"
    """The command that starts the server behind a proxy that terminates TLS, and the trust to name for it."""
    shows_unix_socket: bool = False
    """False if the server's description of a Unix socket is unknown."""
    merges_trailers: bool = False
    """True if trailers of a chunked body stand among the headers."""


UNKNOWN_SERVER = AsgiServer()


def _unknown() -> AsgiServer:
    return UNKNOWN_SERVER


class AsgiConnection:
    """The connection of one ASGI request or WebSocket, as four ASGI servers describe it."""

    __slots__ = ("_raw", "_scope", "_server")

    def __init__(self, scope: Mapping[str, Any], server: Callable[[], AsgiServer] = _unknown) -> None:
        """Keep the scope; `server` returns the facts that a scope does not tell."""
        self._scope = scope
        self._server = server
        self._raw: RawConnection | None = None

    def certificate(self) -> DerCertificate | None:
        """Return the certificate of this very TLS connection, if the server has ASGI's TLS extension."""
        extensions = self._scope.get("extensions") or {}
        chain = (extensions.get("tls") or {}).get("client_cert_chain") or ()
        for pem in chain:  # the client's own comes first
            return _der_of(pem)
        return None

    def intermediates(self) -> tuple[DerCertificate, ...]:
        """Return none: the service alone builds paths, and it is no ASGI application."""
        return ()

    def why_hidden(self) -> str | None:
        """Return the reason for which no certificate can arrive: no server has ASGI's TLS extension yet."""
        if (self._scope.get("extensions") or {}).get("tls") is not None:
            return None
        server = self._server()
        return (
            f"{server.name} shows none to applications, with any of its TLS options: "
            f"let a proxy terminate TLS (macaroon-cbat proxy-config), {server.behind_a_proxy}"
        )

    def shows_address(self) -> bool:
        """Return False: no ASGI server lets the connection itself be asked.

        What stands in the scope is a header's word in uvicorn by default, for connections from 127.0.0.1,
        and in hypercorn and daphne behind their middleware, and a PROXY line's in gunicorn.
        """
        return False

    def address(self) -> str | None:
        """Return None: the connection's own address is not known."""
        return None

    def is_unix_socket(self) -> bool:
        """Return True if the request came over a Unix socket; False if that is unknown.

        The client's address takes no part, for headers may have written it: uvicorn shows [path, None] as
        server, granian [path, "0"], hypercorn and daphne neither server nor client.
        """
        if "server" not in self._scope or "client" not in self._scope or not self._server().shows_unix_socket:
            return False
        server = self._scope["server"]
        if server is None:
            return self._scope["client"] is None
        host, port = server
        is_path = host != "" and plain_address(host) is None and not self._came_with(host)
        return is_path and port in (None, 0, "0")

    def merges_trailers(self) -> bool:
        """Return True if trailers may stand among the headers."""
        return self._server().merges_trailers

    def header(self, name: str) -> str | None:
        """Return the value of a header, or None; the scope keeps every header as it came."""
        if self._raw is None:
            self._raw = RawConnection(self._scope["headers"], address=None, is_unix_socket=False)
        return self._raw.header(name)

    def _came_with(self, text: str) -> bool:
        """Return True if the text stands in any header, in any letter case."""
        text = text.casefold()
        return any(text in value.decode("latin-1").casefold() for _, value in self._scope["headers"])


def _der_of(pem: str) -> DerCertificate:
    found = _PEM.match(pem)
    try:
        if found is not None:
            return DerCertificate(binascii.a2b_base64("".join(found[1].split()), strict_mode=True))
    except binascii.Error:
        pass
    raise ProxyMisconfigured("the server shows a client certificate that is not PEM")
