"""Proxies of the adapters' tests."""

from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.macaroon.caveats import confirmation
from tests.support.tokens import CERTIFICATE as THUMBPRINT
from tests.support.tokens import token

PROXY, STRANGER = "10.0.0.1", "192.0.2.9"


SECRET = "a-secret-of-the-proxy"


DER = DerCertificate(b"\x30\x82\x01\x00" + bytes(range(256)))
"""As much of a certificate as its format wants to see."""


OURS = [("Clientcertx5t", THUMBPRINT)]


def bound_to_der():
    return token(confirmation(thumbprint_of(DER)))


def ours(trust, secret=None):
    return Forwarded("haproxy-sha256", trust=trusted_proxies(trust, secret=secret))
