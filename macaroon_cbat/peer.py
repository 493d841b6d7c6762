"""Where a connection's client certificate is found, and whether that place may be believed.

Only the TLS connection itself is believed here: a header is not a certificate. WSGI servers that
terminate TLS put what they saw under environment keys that no client can write (a header always
arrives as `HTTP_...`).
"""

from collections.abc import Mapping
from typing import Any, Protocol

from macaroon_cbat.thumbprint import DerCertificate, Thumbprint, thumbprint_of

PEER_CERTIFICATE = "macaroon_cbat.peer_certificate"
"""Environment key under which the embedded server shows the DER certificate, or None."""

_SERVER_SOCKETS = ("gunicorn.socket", "werkzeug.socket")
"""Keys under which other WSGI servers that terminate TLS show the connection."""


class PeerSource(Protocol):
    """Finds the certificate of the connection that carries a WSGI request."""

    def __call__(self, environ: Mapping[str, Any], /) -> DerCertificate | None:
        """Return the presented certificate, or None when the client presented none."""


def tls_connection(environ: Mapping[str, Any], /) -> DerCertificate | None:
    """Return the certificate of the TLS connection that this very server process terminates.

    The handshake proved possession of the private key. Neither the issuer nor the validity
    period was checked (RFC 8705 6.2: a resource server need not).
    """
    if PEER_CERTIFICATE in environ:
        certificate: DerCertificate | None = environ[PEER_CERTIFICATE] or None
        return certificate
    for key in _SERVER_SOCKETS:
        getpeercert = getattr(environ.get(key), "getpeercert", None)
        if getpeercert is not None:
            der: bytes | None = getpeercert(True)
            return DerCertificate(der) if der else None
    return None


def peer_thumbprint(source: PeerSource, environ: Mapping[str, Any]) -> Thumbprint | None:
    """Return the thumbprint of the presented certificate, or None when there is none."""
    certificate = source(environ)
    return thumbprint_of(certificate) if certificate else None  # the hash of nothing binds to nobody
