"""The connection of a WSGI environment: its certificate, its other end, its headers."""

from collections.abc import Mapping
from typing import Any

from macaroon_cbat.certificate.address import plain_address
from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.certificate.wsgi_servers import End, sent_over, server_of, why_hidden
from macaroon_cbat.errors import AmbiguousHeader, ProxyMisconfigured

PEER_CERTIFICATE = "macaroon_cbat.peer_certificate"
"""Environment key under which the embedded server shows the DER certificate, or None.

No client can write it: a header always arrives as `HTTP_...`, and other protocols write text, not bytes.
"""

PEER_INTERMEDIATES = "macaroon_cbat.peer_intermediates"
"""Environment key under which the embedded server shows the DER certificates beside the client's own."""

_TLS_SOCKETS = ("gunicorn.socket", "werkzeug.socket")
"""Keys under which other WSGI servers show the connection."""

_MOD_WSGI = "mod_wsgi.version"
"""The key that identifies mod_wsgi, whose environment holds variables of Apache beside headers."""

_CERT_NONE = 0
"""The `verify_mode` of `ssl` by which a server asks its clients for no certificate."""

_KEEPS_THE_LAST = ("Cheroot/",)
"""Servers that show the last of several headers and hide the others (measured)."""

_OF_APACHE = (
    "mod_wsgi shows it in a variable of Apache alone: read it with "
    "certificate_source=macaroon_cbat.apache_variable, and tell Apache SSLVerifyClient optional_no_ca "
    "and SSLOptions +ExportCertData"
)

_FOLDED = str.maketrans(dict.fromkeys("-.", "_"))


class WsgiConnection:
    """The connection of one WSGI request (PEP 3333)."""

    __slots__ = ("_environ", "_found")

    def __init__(self, environ: Mapping[str, Any]) -> None:
        """Keep the environment, and find the server that made it."""
        self._environ = environ
        self._found = server_of(environ)

    def certificate(self) -> DerCertificate | None:
        """Return the certificate of this very TLS connection; None without TLS or without a certificate."""
        environ = self._environ
        if PEER_CERTIFICATE in environ:
            certificate = environ[PEER_CERTIFICATE]
            return DerCertificate(certificate) if isinstance(certificate, bytes) and certificate else None
        for key in _TLS_SOCKETS:
            getpeercert = getattr(environ.get(key), "getpeercert", None)
            if getpeercert is not None:
                der: bytes | None = getpeercert(True)
                return DerCertificate(der) if der else None
        return None

    def intermediates(self) -> tuple[DerCertificate, ...]:
        """Return the certificates that the client sent beside its own over this very TLS connection."""
        environ = self._environ
        if PEER_CERTIFICATE in environ:
            shown = environ.get(PEER_INTERMEDIATES)
            return shown if isinstance(shown, tuple) else ()
        for key in _TLS_SOCKETS:
            if hasattr(environ.get(key), "getpeercert"):
                return tuple(sent_over(environ[key])[1:])
        return ()

    def why_hidden(self) -> str | None:
        """Return the reason for which no certificate can arrive: this server requests none, or shows none."""
        environ = self._environ
        if isinstance(environ.get(PEER_CERTIFICATE, ""), bytes | None):
            return None
        connections = [environ[key] for key in _TLS_SOCKETS if hasattr(environ.get(key), "getpeercert")]
        if any(map(_asks_for_certificates, connections)):
            return None
        if not isinstance(environ.get(_MOD_WSGI), str | None):
            return _OF_APACHE
        name = None if self._found is None else self._found[0].name
        return why_hidden(name, is_tls=bool(connections))

    def shows_address(self) -> bool:
        """Return True if the server is measured to show the connection's own address (`wsgi_servers`)."""
        return self._found is not None

    def address(self) -> str | None:
        """Return the IP address at the other end as the server itself knows it, never REMOTE_ADDR."""
        address, _ = self._end()
        return address if address is not None and plain_address(address) is not None else None

    def is_unix_socket(self) -> bool:
        """Return True if the request came over a Unix socket; False if that is unknown."""
        return self._end()[1]

    def merges_trailers(self) -> bool:
        """Return True unless the server is measured to keep trailers apart from headers."""
        return self._found is None

    def variable(self, name: str) -> str | None:
        """Return a variable of Apache around mod_wsgi, which no header can write; None elsewhere."""
        # Text under this key was written by a peer that speaks uWSGI's protocol, SCGI or FastCGI.
        if isinstance(self._environ.get(_MOD_WSGI), str | None):
            return None
        value: str | None = self._environ.get(name)
        return value

    def header(self, name: str) -> str | None:
        """Return the value of a header, or None; the environment joins several with commas."""
        wanted = "HTTP_" + name.upper().translate(_FOLDED)
        for key in self._environ:
            if len(key) == len(wanted) and key != wanted and key.upper().translate(_FOLDED) == wanted:
                raise AmbiguousHeader(f"a header that looks like {name} came as {key[5:]!r}")
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
        if self._found is None:
            return False
        server, _ = self._found
        return server.drops_aliases.match(str(self._environ.get("SERVER_SOFTWARE"))) is not None

    def _end(self) -> End:
        if self._found is None:
            return None, False
        server, connection = self._found
        return server.end(connection)


def _asks_for_certificates(connection: Any) -> bool:
    """Return False for a TLS connection of `ssl` whose context is CERT_NONE; others may have asked."""
    mode: int | None = getattr(getattr(connection, "context", None), "verify_mode", None)
    return mode != _CERT_NONE
