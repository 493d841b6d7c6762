"""Requests that a proxy forwarded, and what a source believes of them."""

from macaroon_cbat.certificate.source import PresentedCertificate
from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from tests.support.certificate_spellings import SPELLINGS, make_certificate
from tests.support.tokens import came_from as at

HOLDER = DerCertificate(make_certificate("holder"))


PROXY = DerCertificate(make_certificate("proxy"))


SECRET = "a-secret-of-the-proxy"


SERVER = {"SERVER_SOFTWARE": "gunicorn/27.0.1"}


CLIENTCERT = {"HTTP_CLIENTCERT": SPELLINGS["haproxy"](HOLDER)[0]}


SHOWS_SECRET = {"HTTP_PROXYSECRET": SECRET}


UNIX = at("localhost", None)


def vouched(der: DerCertificate) -> PresentedCertificate:
    """Return the peer with this certificate, of which a trusted proxy speaks."""
    return PresentedCertificate(thumbprint=thumbprint_of(der), certificate=der, is_from_proxy=True)


def connection_of(*environs: dict[str, object]) -> WsgiConnection:
    return WsgiConnection({key: value for environ in (SERVER, *environs) for key, value in environ.items()})
