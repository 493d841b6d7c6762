"""The WSGI servers that were measured to show a connection's own end, and to keep trailers from headers.

Each is known by an object in the environment. A sender in uWSGI's protocol, SCGI or FastCGI writes any key
of the environment, but only as text: no text makes a server one of these.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from macaroon_cbat.certificate.thumbprint import DerCertificate

_DER = 2
"""ENCODING_DER of `_ssl`."""

Environ = Mapping[str, Any]
End = tuple[str | None, bool]
"""The address at the other end of a connection, and whether it is a Unix socket."""


class WsgiServer(Struct, frozen=True, kw_only=True):
    """One measured server."""

    name: str
    connection: Callable[[Environ], Any]
    """A function that returns the server's own object of the connection; None under another server."""
    end: Callable[[Any], End]
    """A function that returns the other end of it, which no header, PROXY line or protocol field changes."""
    drops_aliases: re.Pattern[str]
    """The SERVER_SOFTWARE of versions that never show `X_Y` under the key of `X-Y`."""


def server_of(environ: Environ) -> tuple[WsgiServer, Any] | None:
    """Return the measured server that made this environment with its connection, or None."""
    for server in SERVERS:
        connection = server.connection(environ)
        if connection is not None:
            return server, connection
    return None


def sent_over(connection: Any) -> list[DerCertificate]:
    """Return the certificates that a client sent over a connection of `ssl`, its own first, unverified.

    Python shows them from 3.13 on; before, its C module does under the same name, and where it does not,
    there are none.
    """
    public = getattr(connection, "get_unverified_chain", None)
    if public is not None:
        return [DerCertificate(one) for one in public() or ()]
    chain = getattr(getattr(connection, "_sslobj", None), "get_unverified_chain", None)
    shown = [] if chain is None else chain() or []
    return [
        DerCertificate(one.public_bytes(_DER)) for one in shown if one is not None
    ]  # None: no certificate


def why_hidden(name: str | None, *, is_tls: bool) -> str:
    """Return the reason for which the server of this name shows no client certificate, and the remedy."""
    if is_tls and name == "gunicorn":
        return (
            "gunicorn does not ask its clients for one: start it with --cert-reqs 1 --ca-certs FILE, where "
            f"the CAs in FILE issue all client certificates, or {_SERVE}"
        )
    if is_tls and name == "Werkzeug":
        return f"Flask's development server (flask run) does not ask its clients for one: {_SERVE}"
    if name in _PLAIN:
        return f"{_PLAIN[name]} speaks plain HTTP here: {_SERVE}"
    return f"this server shows none to applications: {_SERVE}"


def _channel(environ: Environ) -> Any:
    """Return the connection of waitress, which shows one of its methods."""
    method = environ.get("waitress.client_disconnected")
    return None if method is None else getattr(method, "__self__", None)


def _socket(key: str) -> Callable[[Environ], Any]:
    def connection(environ: Environ) -> Any:
        shown = environ.get(key)
        return shown if hasattr(shown, "getpeername") else None

    return connection


def _gevent_socket(environ: Environ) -> Any:
    """Return the socket that gevent reads a request from; a request to upgrade shows no such reader."""
    reader = environ.get("wsgi.input")
    if type(reader).__module__ != "gevent.pywsgi":
        return None
    return getattr(getattr(getattr(reader, "rfile", None), "raw", None), "_sock", None)


def _end_of_channel(channel: Any) -> End:
    host, port = channel.addr[:2]
    return (None, True) if port is None else (host, False)


def _end_of_socket(socket: Any) -> End:
    """Return address and kind of the other end; a client may give its end of a Unix socket any name."""
    if socket.family.name == "AF_UNIX":
        return None, True
    try:
        address: str = socket.getpeername()[0]
    except OSError:
        return None, False
    return address, False


_EVERY = re.compile("")
_SERVE = (
    'serve with macaroon_cbat.tls.serve(lambda: app, certificate=Path("server.pem"), key=Path("server.key")),'
    " which asks for any certificate"
)
_PLAIN = {
    "gunicorn": "gunicorn",
    "waitress": "waitress",
    "Werkzeug": "Flask's development server (flask run)",
}
"""Servers that show whether they speak TLS, by their usual names."""

SERVERS = (
    WsgiServer(name="waitress", connection=_channel, end=_end_of_channel, drops_aliases=_EVERY),
    WsgiServer(
        name="gunicorn",
        connection=_socket("gunicorn.socket"),
        end=_end_of_socket,
        drops_aliases=re.compile(r"gunicorn/(2[2-9]|[3-9][0-9]|[0-9]{3,})\."),
    ),
    WsgiServer(
        name="Werkzeug",
        connection=_socket("werkzeug.socket"),
        end=_end_of_socket,
        drops_aliases=re.compile(r"Werkzeug/[3-9]\."),
    ),
    WsgiServer(name="gevent", connection=_gevent_socket, end=_end_of_socket, drops_aliases=_EVERY),
)
"""The measured servers; `tests/servers` asks each of them. The embedded server is one of waitress's kind.

Not here, because headers, PROXY lines or fields of their protocols reach what they show: uvicorn's, a2wsgi's
and Starlette's WSGI over ASGI, mod_wsgi, uWSGI. Nor wsgiref and cheroot, which differ in header names.
"""
