import pytest

from macaroon_cbat.errors import ProxyMisconfigured
from macaroon_cbat.peer import NOBODY, peer_of, tls_connection
from macaroon_cbat.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.wsgi_hop import PEER_CERTIFICATE, WsgiHop

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
    peer = tls_connection(WsgiHop(environ))
    assert (peer.certificate, peer.thumbprint) == (DER, thumbprint_of(DER))


@pytest.mark.parametrize("environ", NOT_FOUND.values(), ids=NOT_FOUND)
def test_no_certificate_is_none(environ):
    """Where the connection has no certificate there is none, and no thumbprint of nothing."""
    assert tls_connection(WsgiHop(environ)) == NOBODY


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_is_not_a_certificate(name):
    """No header is believed, whatever it is called."""
    assert tls_connection(WsgiHop({name: ":YSBjZXJ0aWZpY2F0ZQ==:"})) == NOBODY
    assert tls_connection(WsgiHop({name: DER, PEER_CERTIFICATE: OTHER})) == peer_of(OTHER)


SAFE = ("gunicorn/22.0.0", "gunicorn/27.0.1", "gunicorn/100.0.0", "Werkzeug/3.1.9", "gevent/26.9 Python/3.11")
UNSAFE = (
    "gunicorn/21.2.0",
    "gunicorn/2.0.0",
    "gunicorn/220",
    "gunicorn",
    "Werkzeug/2.3.8",
    "WSGIServer/0.2 CPython/3.11",
    "Apache/2.4 gunicorn/27.0.1",
    "waitress",
    "",
    None,
)


@pytest.mark.parametrize("software", SAFE)
def test_a_name_with_hyphens_is_read_where_it_is_safe(software: str):
    """Servers that never show `X_Y` under the key of `X-Y` may be asked for `X-Y`."""
    hop = WsgiHop({"SERVER_SOFTWARE": software, "HTTP_CLIENT_CERT": "x"})
    assert (hop.header("Client-Cert"), hop.header("Other-Cert")) == ("x", None)


@pytest.mark.parametrize("software", UNSAFE)
def test_a_name_with_hyphens_is_not_read_elsewhere(software: str | None):
    """Of any other server nobody knows: a name with hyphens is refused, whether it came or not."""
    hop = WsgiHop({"SERVER_SOFTWARE": software, "HTTP_CLIENT_CERT": "x", "HTTP_CLIENTCERT": "y"})
    for name in ("Client-Cert", "Other-Cert"):
        with pytest.raises(ProxyMisconfigured, match="without hyphens"):
            hop.header(name)
    assert hop.header("Clientcert") == "y"
