import socket

import pytest

from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.certificate.source import (
    NO_CERTIFICATE,
    PresentedCertificate,
    client_address,
    presented_certificate,
    tls_connection,
)
from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE, WsgiConnection
from macaroon_cbat.errors import ProxyMisconfigured

DER = DerCertificate(b"a certificate")
OTHER = DerCertificate(b"another certificate")


class Connection:
    """A TLS connection that shows this certificate, as ssl.SSLSocket does."""

    def __init__(self, der: bytes | None) -> None:
        self.der = der

    def getpeercert(self, binary_form: bool) -> bytes | dict[str, str] | None:  # noqa: FBT001 # as ssl has it
        """Return the DER bytes."""
        return self.der if binary_form else {}


FOUND = {
    "the embedded server": {PEER_CERTIFICATE: DER},
    "gunicorn": {"gunicorn.socket": Connection(DER)},
    "werkzeug": {"werkzeug.socket": Connection(DER)},
    "the embedded server before others": {PEER_CERTIFICATE: DER, "werkzeug.socket": Connection(OTHER)},
}
NOT_FOUND = {
    "nothing": {},
    "the embedded server saw none": {PEER_CERTIFICATE: None},
    "the embedded server saw none, whatever others say": {
        PEER_CERTIFICATE: None,
        "werkzeug.socket": Connection(DER),
    },
    "the embedded server saw no bytes": {PEER_CERTIFICATE: b""},
    "gunicorn saw none": {"gunicorn.socket": Connection(None)},
    "gunicorn saw no bytes": {"gunicorn.socket": Connection(b"")},
    "a socket without TLS": {"gunicorn.socket": object()},
}
HEADERS = (
    "HTTP_CLIENT_CERT",
    "HTTP_X_SSL_CERT",
    "HTTP_SSL_CLIENT_CERT",
    "HTTP_X_FORWARDED_CLIENT_CERT",
    "HTTP_X_CLIENT_CERT_THUMBPRINT",
    "HTTP_MACAROON_CBAT_PEER_CERTIFICATE",
    "HTTP_MACAROON_CBAT.PEER_CERTIFICATE",
    "SSL_CLIENT_CERT",
)


@pytest.mark.parametrize("environ", FOUND.values(), ids=FOUND)
def test_the_certificate_of_the_connection_is_found(environ):
    """The certificate is found where the server that terminates TLS shows it."""
    peer = tls_connection(WsgiConnection(environ))
    assert (peer.certificate, peer.thumbprint) == (DER, thumbprint_of(DER))


@pytest.mark.parametrize("environ", NOT_FOUND.values(), ids=NOT_FOUND)
def test_no_certificate_is_none(environ):
    """A connection without a certificate gives none, and no thumbprint of nothing."""
    peer = tls_connection(WsgiConnection(environ))
    assert (peer.thumbprint, peer.certificate) == (None, None)


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_is_not_a_certificate(name):
    """No header is believed, whatever it is called."""
    assert (
        tls_connection(WsgiConnection({name: ":YSBjZXJ0aWZpY2F0ZQ==:", PEER_CERTIFICATE: None}))
        == NO_CERTIFICATE
    )
    assert tls_connection(WsgiConnection({name: ":YSBjZXJ0aWZpY2F0ZQ==:"})).thumbprint is None
    assert tls_connection(WsgiConnection({name: DER, PEER_CERTIFICATE: OTHER})) == presented_certificate(
        OTHER
    )


SHOWN = "gunicorn.socket"
SAFE = {
    "gunicorn/22.0.0": SHOWN,
    "gunicorn/27.0.1": SHOWN,
    "gunicorn/100.0.0": SHOWN,
    "Werkzeug/3.1.9": "werkzeug.socket",
}
UNSAFE = {
    "gunicorn/21.2.0": SHOWN,
    "gunicorn/2.0.0": SHOWN,
    "gunicorn/220": SHOWN,
    "gunicorn": SHOWN,
    "gunicorn/27.0.1": "werkzeug.socket",
    "gunicorn/28.0.1": "uwsgi.version",
    "Werkzeug/2.3.8": "werkzeug.socket",
    "Werkzeug/3.1.9": "uwsgi.version",
    "gevent/26.9 Python/3.11": "uwsgi.version",
    "WSGIServer/0.2 CPython/3.11": "wsgi.input",
    "Apache/2.4 gunicorn/27.0.1": "mod_wsgi.version",
    "waitress": "uwsgi.version",
    "": SHOWN,
    None: SHOWN,
}
"""Servers by what they call themselves, and the key under which they show an object of the connection."""


class End:
    """A socket, as servers show it."""

    def __init__(self, address: str = "192.0.2.7", family: socket.AddressFamily = socket.AF_INET) -> None:
        self.address, self.family = address, family

    def getpeername(self) -> tuple[str, int]:
        """Return the other end's name."""
        return self.address, 4711


@pytest.mark.parametrize(("software", "key"), SAFE.items(), ids=SAFE)
def test_a_name_with_hyphens_is_read_where_it_is_safe(software: str, key: str):
    """Servers that never show `X_Y` under the key of `X-Y` may be asked for `X-Y`."""
    connection = WsgiConnection({"SERVER_SOFTWARE": software, key: End(), "HTTP_CLIENT_CERT": "x"})
    assert (connection.header("Client-Cert"), connection.header("Other-Cert")) == ("x", None)


@pytest.mark.parametrize(("software", "key"), UNSAFE.items(), ids=map(str, UNSAFE))
def test_a_name_with_hyphens_is_not_read_elsewhere(software: str | None, key: str):
    """Any other server was not measured: a name with hyphens is refused, whether it came or not."""
    shown = {"SERVER_SOFTWARE": software, key: End()}
    connection = WsgiConnection({**shown, "HTTP_CLIENT_CERT": "x", "HTTP_CLIENTCERT": "y"})
    for name in ("Client-Cert", "Other-Cert"):
        with pytest.raises(ProxyMisconfigured, match="without hyphens"):
            connection.header(name)
    assert connection.header("Clientcert") == "y"


WRITTEN = {
    "REMOTE_ADDR": "10.0.0.7",
    "SERVER_SOFTWARE": "gevent/26.9",
    "macaroon_cbat.peer_certificate": "a certificate",
    "gunicorn.socket": "x",
    "werkzeug.socket": "x",
    "waitress.client_disconnected": "x",
    "werkzeug.proxy_fix.orig": "x",
    "mod_wsgi.version": "4",
    "SSL_CLIENT_CERT": "x",
}
"""Keys that a sender in uWSGI's protocol, SCGI or FastCGI writes into an environment: any, as text."""


@pytest.mark.parametrize("missing", [None, *WRITTEN])
def test_text_is_no_evidence(missing: str | None):
    """No text in an environment makes an address, a socket, a certificate or a variable."""
    connection = WsgiConnection({key: value for key, value in WRITTEN.items() if key != missing})
    assert (connection.shows_address(), connection.address(), connection.is_unix_socket()) == (
        False,
        None,
        False,
    )
    assert (
        connection.merges_trailers(),
        connection.certificate(),
        connection.variable("SSL_CLIENT_CERT"),
    ) == (True, None, None)


def connection_of(own: str | None, *, is_apart: bool = True) -> RawConnection:
    """Return a connection from this address, on a server that keeps trailers apart or does not."""

    class One(RawConnection):
        def merges_trailers(self) -> bool:
            return not is_apart

    return One((), address=own, is_unix_socket=own is None)


OWN, SHOWN_ADDRESS = "192.0.2.1", "192.0.2.7"
ADDRESSES = {
    "no proxy, nothing rewritten": (connection_of(OWN), NO_CERTIFICATE, OWN, OWN),
    "no proxy, rewritten": (connection_of(OWN), NO_CERTIFICATE, SHOWN_ADDRESS, OWN),
    "no proxy, a Unix socket": (connection_of(None), NO_CERTIFICATE, SHOWN_ADDRESS, None),
    "the proxy's word": (
        connection_of(OWN),
        PresentedCertificate(is_from_proxy=True),
        SHOWN_ADDRESS,
        SHOWN_ADDRESS,
    ),
    "the proxy's word, a Unix socket": (
        connection_of(None),
        PresentedCertificate(is_from_proxy=True),
        SHOWN_ADDRESS,
        SHOWN_ADDRESS,
    ),
    "the proxy says nothing": (connection_of(OWN), PresentedCertificate(is_from_proxy=True), OWN, OWN),
    "the proxy's word and a trailer's": (
        connection_of(None, is_apart=False),
        PresentedCertificate(is_from_proxy=True),
        SHOWN_ADDRESS,
        None,
    ),
    "a header that was ignored": (
        connection_of(OWN),
        PresentedCertificate(ignored="it came from a stranger"),
        SHOWN_ADDRESS,
        OWN,
    ),
}


@pytest.mark.parametrize(("connection", "peer", "shown", "address"), ADDRESSES.values(), ids=ADDRESSES)
def test_the_client_s_address(
    connection: RawConnection, peer: PresentedCertificate, shown: str | None, address: str | None
):
    """The client's address is the connection's own, or what a trusted proxy alone can have said."""
    assert client_address(connection, peer, shown) == address
