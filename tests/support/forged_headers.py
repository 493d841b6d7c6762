"""Headers in which an attacker writes a certificate."""

import base64
from urllib.parse import quote

from tests.support.guarded_app import CERTIFICATE
from tests.support.tokens import CERTIFICATE as THUMBPRINT

BASE64 = base64.b64encode(CERTIFICATE).decode()


PEM = f"-----BEGIN CERTIFICATE-----\n{BASE64}\n-----END CERTIFICATE-----\n"


NAMES = (
    "Client-Cert",
    "Client-Cert-Chain",
    "X-Client-Cert",
    "X-SSL-Cert",
    "X-SSL-Client-Cert",
    "X-SSL-Client-SHA256",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Tls-Client-Cert",
    "X-ARR-ClientCert",
    "X-Amzn-Mtls-Clientcert",
    "SSL-Client-Cert",
    "SSL_CLIENT_CERT",
    "HTTPS-Client-Certificate",
    "Clientcertx5t",
    "Tls.Peer_der",
    "Macaroon_cbat.peer_certificate",
    "Macaroon-cbat.peer-certificate",
    "Macaroon-Cbat-Peer-Certificate",
    "Gunicorn.socket",
    "Werkzeug.socket",
    "Wsgi.socket",
)


VALUES = {
    "RFC 9440": f":{BASE64}:",
    "base64": BASE64,
    "PEM in one line": PEM.replace("\n", " "),
    "PEM, URL-encoded": quote(PEM),
    "x5t#S256": THUMBPRINT,
    "XFCC": f'Hash={base64.urlsafe_b64decode(THUMBPRINT + "=").hex()};Cert="{quote(PEM)}"',
    "the bytes themselves": CERTIFICATE.decode(),
}
