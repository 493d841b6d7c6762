"""What a WSGI environment says about the connection: its certificate, its other end, its headers."""

import re
from collections.abc import Mapping
from typing import Any

from macaroon_cbat.errors import AmbiguousCertificate, ProxyMisconfigured
from macaroon_cbat.request_target import plain_address
from macaroon_cbat.thumbprint import DerCertificate

PEER_CERTIFICATE = "macaroon_cbat.peer_certificate"
"""Environment key under which the embedded server shows the DER certificate, or None.

No client can write it: a header always arrives as `HTTP_...`.
"""

_SERVER_SOCKETS = ("gunicorn.socket", "werkzeug.socket")
"""Keys under which other WSGI servers show the connection."""

_WAITRESS_CHANNEL = "waitress.client_disconnected"
"""Key under which waitress shows a method of the connection."""

_MOD_WSGI = "mod_wsgi.version"
"""Key by which one knows mod_wsgi, whose environment holds variables of Apache beside headers."""

_BEFORE_PROXY_FIX = "werkzeug.proxy_fix.orig"

_DROPS_ALIASES = re.compile(r"gunicorn/(2[2-9]|[3-9][0-9]|[0-9]{3,})\.|Werkzeug/[3-9]\.|gevent/")
"""Servers, as SERVER_SOFTWARE names them, that never show `X_Y` under the key of `X-Y` (measured).

Waitress is another one. gunicorn before 22, wsgiref, uWSGI and what runs WSGI over ASGI do it.
"""

_KEEPS_THE_LAST = ("Cheroot/",)
"""Servers that show the last of several headers and hide the others (measured)."""

_FOLDED = str.maketrans(dict.fromkeys("-.", "_"))


class WsgiHop:
    """The hop of one WSGI request (PEP 3333)."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        """Read nothing yet."""
        self._environ = environ

    def certificate(self) -> DerCertificate | None:
        """Return the certificate of this very TLS connection; None without TLS or without one."""
        environ = self._environ
        if PEER_CERTIFICATE in environ:
            certificate: DerCertificate | None = environ[PEER_CERTIFICATE] or None
            return certificate
        for key in _SERVER_SOCKETS:
            getpeercert = getattr(environ.get(key), "getpeercert", None)
            if getpeercert is not None:
                der: bytes | None = getpeercert(True)
                return DerCertificate(der) if der else None
        return None

    def address(self) -> str | None:
        """Return the IP address at the other end; what ProxyFix read from headers does not count."""
        address, _ = self._other_end()
        return address if address is not None and plain_address(address) is not None else None

    def is_unix_socket(self) -> bool:
        """Tell whether the request came over a Unix socket; False where that is not known."""
        return self._other_end()[1]

    def variable(self, name: str) -> str | None:
        """Return a variable of Apache around mod_wsgi, which no header can write; None elsewhere."""
        if _MOD_WSGI not in self._environ:
            return None
        value: str | None = self._environ.get(name)
        return value

    def header(self, name: str) -> str | None:
        """Return the one value of a header, or None; the environment joins several by commas."""
        wanted = "HTTP_" + name.upper().translate(_FOLDED)
        for key in self._environ:
            if len(key) == len(wanted) and key != wanted and key.upper().translate(_FOLDED) == wanted:
                raise AmbiguousCertificate(f"a header that looks like {name} came as {key[5:]!r}")
        if str(self._environ.get("SERVER_SOFTWARE")).startswith(_KEEPS_THE_LAST):
            raise ProxyMisconfigured(
                f"this server hides a second {name}: serve with gunicorn, waitress or macaroon_cbat.tls"
            )
        if "_" in wanted[5:] and not self._drops_aliases():
            raise ProxyMisconfigured(
                f"{name} is not safe with this server, which may take {name.replace('-', '_')} for it: use "
                "a header name without hyphens, or serve with gunicorn, waitress or macaroon_cbat.tls"
            )
        value: str | None = self._environ.get(wanted)
        return value

    def _drops_aliases(self) -> bool:
        software = str(self._environ.get("SERVER_SOFTWARE"))
        return _WAITRESS_CHANNEL in self._environ or _DROPS_ALIASES.match(software) is not None

    def _other_end(self) -> tuple[str | None, bool]:
        """Return the address at the other end, and whether it is a Unix socket: what the server itself knows.

        REMOTE_ADDR comes last, because waitress and gunicorn can be told to take it from what a client says.
        """
        environ = self._environ
        for key in _SERVER_SOCKETS:
            if hasattr(environ.get(key), "getpeername"):
                return _end_of(environ[key])
        channel = getattr(environ.get(_WAITRESS_CHANNEL), "__self__", None)
        if channel is not None:
            host, port = channel.addr[:2]
            return (None, True) if port is None else (host, False)
        before: Mapping[str, Any] = environ.get(_BEFORE_PROXY_FIX) or environ
        address: str | None = before.get("REMOTE_ADDR")
        # gevent has no REMOTE_ADDR for a Unix socket, and for nothing else.
        is_unix = address is None and str(environ.get("SERVER_SOFTWARE")).startswith("gevent/")
        return address, is_unix


def _end_of(socket: Any) -> tuple[str | None, bool]:
    """Return address and kind of the other end of a socket; a client may give a Unix socket any name."""
    if socket.family.name == "AF_UNIX":
        return None, True
    try:
        address: str = socket.getpeername()[0]
    except OSError:
        return None, False
    return address, False
