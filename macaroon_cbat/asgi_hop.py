"""What an ASGI scope says about the connection: its certificate, its other end, its headers."""

import binascii
import re
from collections.abc import Mapping
from typing import Any

from macaroon_cbat.errors import ProxyMisconfigured
from macaroon_cbat.header_fields import HeaderFields
from macaroon_cbat.request_target import plain_address
from macaroon_cbat.thumbprint import DerCertificate

_PEM = re.compile(r"\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*\Z")
_NAMES_ADDRESSES = (b"for", b"forwarded", b"ip", b"addr", b"address")
"""How the names of headers end from which servers and middleware take another client address."""

_SEPARATORS = re.compile(r'[\s,;="\[\]]+')


class AsgiHop:
    """The hop of one ASGI request or WebSocket, as uvicorn, hypercorn, granian and daphne describe it."""

    __slots__ = ("_fields", "_scope")

    def __init__(self, scope: Mapping[str, Any]) -> None:
        """Read nothing yet."""
        self._scope = scope
        self._fields: HeaderFields | None = None

    def certificate(self) -> DerCertificate | None:
        """Return the certificate of this very TLS connection, where the server has ASGI's TLS extension."""
        extensions = self._scope.get("extensions") or {}
        chain = (extensions.get("tls") or {}).get("client_cert_chain") or ()
        for pem in chain:  # the client's own comes first
            return _der_of(pem)
        return None

    def address(self) -> str | None:
        """Return the IP address at the other end; None where it is unknown, or a Unix socket.

        Servers put what a header says into its place (uvicorn by default, for connections from
        127.0.0.1). Raises ProxyMisconfigured where that may have happened.
        """
        host, port = self._client()
        if host is None or plain_address(host) is None:
            return None
        if port == 0 or self._names_address(host):
            raise ProxyMisconfigured(
                f"the address {host} may come from a header: let the proxy connect over a Unix socket, or "
                "start the server without proxy headers (uvicorn --no-proxy-headers)"
            )
        return host

    def is_unix_socket(self) -> bool:
        """Tell whether the request came over a Unix socket; False where that is not known.

        The client's address takes no part, for headers may have written it: uvicorn shows [path, None] as
        server, granian [path, "0"], hypercorn and daphne neither server nor client.
        """
        if "server" not in self._scope or "client" not in self._scope:
            return False
        server = self._scope["server"]
        if server is None:
            return self._scope["client"] is None
        host, port = server
        is_path = host != "" and plain_address(host) is None and not self._came_with(host)
        return is_path and port in (None, 0, "0")

    def header(self, name: str) -> str | None:
        """Return the one value of a header, or None; the scope keeps every header as it came."""
        if self._fields is None:
            self._fields = HeaderFields(self._scope["headers"])
        return self._fields.one(name)

    def _client(self) -> tuple[str | None, int | None]:
        host, port = self._scope.get("client") or (None, None)
        return host, None if port is None else int(port)  # granian has text for a port

    def _came_with(self, text: str) -> bool:
        """Tell whether the text stands in any header."""
        return any(text in value.decode("latin-1") for _, value in self._scope["headers"])

    def _names_address(self, host: str) -> bool:
        """Tell whether some header that names addresses names this one, with a port or without."""
        for name, value in self._scope["headers"]:
            if name.lower().endswith(_NAMES_ADDRESSES):
                for word in _SEPARATORS.split(value.decode("latin-1")):
                    if word == host or word.startswith(host + ":"):
                        return True
        return False


def _der_of(pem: str) -> DerCertificate:
    found = _PEM.match(pem)
    try:
        if found is not None:
            return DerCertificate(binascii.a2b_base64("".join(found[1].split()), strict_mode=True))
    except binascii.Error:
        pass
    raise ProxyMisconfigured("the server shows a client certificate that is not PEM")
