"""What a WSGI environment says about the connection: its certificate, its other end, its headers."""

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
"""Keys under which other WSGI servers that terminate TLS show the connection."""

_BEFORE_PROXY_FIX = "werkzeug.proxy_fix.orig"
_UNIX_ADDRESSES = ("", "localhost", "<local>")
"""What gunicorn, waitress and Werkzeug say instead of an address; a network peer always has a number."""

_DROPS_ALIASES = ("gunicorn/", "waitress", "Werkzeug/", "gevent/", "macaroon_cbat")
"""Servers, as SERVER_SOFTWARE names them, that never show `X_Y` under the key of `X-Y` (measured)."""

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
        address = self._remote_address()
        return address if address is not None and plain_address(address) is not None else None

    def is_unix_socket(self) -> bool:
        """Tell whether the request came over a Unix socket; False where that is not known."""
        for key in _SERVER_SOCKETS:
            family = getattr(self._environ.get(key), "family", None)
            if family is not None:
                return bool(family.name == "AF_UNIX")
        return self._remote_address() in _UNIX_ADDRESSES

    def header(self, name: str) -> str | None:
        """Return the one value of a header, or None; the environment joins several by commas."""
        wanted = "HTTP_" + name.upper().translate(_FOLDED)
        for key in self._environ:
            if len(key) == len(wanted) and key != wanted and key.upper().translate(_FOLDED) == wanted:
                raise AmbiguousCertificate(f"a header that looks like {name} came as {key[5:]!r}")
        value: str | None = self._environ.get(wanted)
        if "_" in wanted[5:] and not self._drops_aliases():
            raise ProxyMisconfigured(
                f"{name} is not safe with this server, which may take {name.replace('-', '_')} for it: use "
                "a header name without hyphens, or serve with gunicorn, waitress or macaroon_cbat.tls"
            )
        return value

    def _drops_aliases(self) -> bool:
        return str(self._environ.get("SERVER_SOFTWARE", "")).startswith(_DROPS_ALIASES)

    def _remote_address(self) -> str | None:
        before: Mapping[str, Any] = self._environ.get(_BEFORE_PROXY_FIX) or self._environ
        address: str | None = before.get("REMOTE_ADDR")
        return address
