"""Every certificate format, read: from the value of a header, and the whole way through WSGI.

The pool holds P-256 certificates of about 350 bytes, each seen for the first time. The yardstick is the
certificate of the TLS connection itself, which is hashed and nothing else.
"""

import base64
import hashlib
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from urllib.parse import quote, quote_plus

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from timing import Case

from macaroon_cbat.certificate.formats import FORMATS
from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.certificate.source import presented_certificate, tls_connection
from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE, WsgiConnection

POOL = 200
OWN = "own TLS connection"
SECRET = "a-secret-of-the-proxy"

_PEM = "-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n"


def _certificate(number: int, key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"client {number:04}")])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=datetime(2026, 1, 1, tzinfo=UTC),
        not_valid_after=datetime(2036, 1, 1, tzinfo=UTC),
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _base64(der: bytes) -> str:
    return base64.b64encode(der).decode()


def _pem(der: bytes) -> str:
    text = _base64(der)
    return _PEM.format("".join(text[start : start + 64] + "\n" for start in range(0, len(text), 64)))


def _hex(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


def _hash(der: bytes) -> bytes:
    return hashlib.sha256(der).digest()


WRITTEN: dict[str, Callable[[bytes], tuple[str, ...]]] = {
    "haproxy-sha256": lambda der: (base64.urlsafe_b64encode(_hash(der)).rstrip(b"=").decode(),),
    "caddy-sha256": lambda der: (_hex(der),),
    "google-sha256": lambda der: (_base64(_hash(der)).rstrip("="), "true"),
    "cloudflare-sha256": lambda der: (_hex(der), "true"),
    "cloudfront": lambda der: (_hex(der), "1"),
    "rfc9440": lambda der: (f":{_base64(der)}:",),
    "google": lambda der: (f":{_base64(der)}:", "true"),
    "haproxy": lambda der: (_base64(der),),
    "caddy": lambda der: (_base64(der),),
    "traefik": lambda der: (_base64(der),),
    "traefik2": lambda der: (quote_plus(_base64(der)),),
    "cloudflare": lambda der: (_base64(der), "true"),
    "azure": lambda der: (_base64(der),),
    "apache": lambda der: (_pem(der).replace("\n", " ").strip(),),
    "nginx": lambda der: (quote(_pem(der), safe=""), "SUCCESS"),
    "ingress-nginx": lambda der: (quote(_pem(der), safe=""), "SUCCESS"),
    "openshift": lambda der: (_base64(der), "0"),
    "kong": lambda der: (quote(_pem(der), safe=""),),
    "aws-alb": lambda der: (quote(_pem(der), safe="+=/"),),
    "aws-alb-passthrough": lambda der: (quote(_pem(der), safe="+=/"),),
    "envoy": lambda der: (f'Hash={_hex(der)};Cert="{quote(_pem(der), safe="")}"',),
}
"""The header of each product for a certificate, the cheapest to read first."""


def _environ(**members: object) -> dict[str, object]:
    """Return an environment of usual size."""
    usual = {f"HTTP_ACCEPT_{number}": "text/html" for number in range(8)}
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/invoices",
        "REMOTE_ADDR": "10.0.0.7",
        "SERVER_SOFTWARE": "gunicorn/27.0.1",
        **usual,
        **members,
    }


@cache
def _connection() -> socket.socket:
    """Return a connection from loopback, as gunicorn shows that of a request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        _OPEN.append(socket.create_connection(listener.getsockname()))
        return listener.accept()[0]


_OPEN: list[socket.socket] = []
"""The other ends, which stay open as long as the benchmark runs."""


def _through_a_connection(name: str, pool: list[bytes]) -> Case:
    """Return the case of a whole source: trust by network and secret, header, companions, format."""
    trust = trusted_proxies(["127.0.0.0/8"], secret=SECRET)
    source = Forwarded(name, trust=trust)
    names = (FORMATS[name].header, *FORMATS[name].companions)
    keys = ["HTTP_" + header.upper().replace("-", "_") for header in names]
    connections = [
        WsgiConnection(
            _environ(
                HTTP_PROXYSECRET=SECRET,
                **{"gunicorn.socket": _connection(), **dict(zip(keys, WRITTEN[name](der), strict=True))},
            )
        )
        for der in pool
    ]
    assert source(connections[0]).thumbprint == presented_certificate(pool[0]).thumbprint  # type: ignore[arg-type]
    return Case(f"{name}, the whole source", source, [(connection,) for connection in connections], (OWN,))


def cases() -> list[Case]:
    """Return the own connection, every format alone, and four whole sources."""
    key = ec.generate_private_key(ec.SECP256R1())
    pool = [_certificate(number, key) for number in range(POOL)]
    connections = [WsgiConnection(_environ(**{PEER_CERTIFICATE: der})) for der in pool]
    made = [Case(OWN, tls_connection, [(connection,) for connection in connections])]
    assert WRITTEN.keys() == FORMATS.keys()
    for name, written in WRITTEN.items():
        made.append(Case(name, FORMATS[name].read, [written(der) for der in pool], (OWN,)))
    made += [_through_a_connection(name, pool) for name in ("haproxy-sha256", "rfc9440", "nginx", "envoy")]
    return made
