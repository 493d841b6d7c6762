"""The certificates beside a client's own, as products forward them: one function a format, and CHAINS.

They are candidates for intermediates of `tls_client_auth` and nothing else: none is trusted by itself, so
it does not matter whether a client wrote them. A function returns them without the client's own.
"""

from collections.abc import Callable

from msgspec import Struct

from macaroon_cbat.certificate.spelling import (
    ESCAPED,
    HALF_ESCAPED,
    LONGEST_TEXT,
    certificate_of_base64,
    certificate_of_byte_sequence,
    certificates_of_pem,
    unescaped,
)
from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.certificate.xfcc import chain_of_forwarded_client_cert
from macaroon_cbat.errors import AmbiguousHeader


class CertificateChain(Struct, frozen=True):
    """The header of a format's chain, None for the certificate's own, and the function that reads it."""

    header: str | None
    read: Callable[[str], list[DerCertificate]]


def read_client_cert_chain(value: str) -> list[DerCertificate]:
    """Read `Client-Cert-Chain`, base64 between colons with commas between two (RFC 9440 2.3)."""
    return [certificate_of_byte_sequence(part) for part in _parts(value)]


def read_envoy_chain(value: str) -> list[DerCertificate]:
    """Read `Chain` in Envoy's `X-Forwarded-Client-Cert`."""
    chain = chain_of_forwarded_client_cert(value)
    return [] if chain is None else read_pem_chain(chain)


def read_pem_chain(value: str) -> list[DerCertificate]:
    """Read URL-encoded PEM, the client's own certificate first: Kong, and AWS with its spelling."""
    is_escaped = any(code in value for _, code in ESCAPED.escapes)
    return certificates_of_pem(value, ESCAPED if is_escaped else HALF_ESCAPED)[1:]


def read_traefik_chain(value: str) -> list[DerCertificate]:
    """Read the chain of Traefik 3: base64 with commas, the client's own certificate first."""
    return [certificate_of_base64(part) for part in _parts(value)][1:]


def read_traefik2_chain(value: str) -> list[DerCertificate]:
    """Read that of Traefik 2 before 2.9.4, which URL-encodes each certificate."""
    return read_traefik_chain(unescaped(value))


def _parts(value: str) -> list[str]:
    if len(value) > LONGEST_TEXT:
        raise AmbiguousHeader("this certificate chain is too long")
    return [part.strip(" \t") for part in value.split(",")] if value else []


CHAINS = {
    "rfc9440": CertificateChain("Client-Cert-Chain", read_client_cert_chain),
    "envoy": CertificateChain(None, read_envoy_chain),
    "kong": CertificateChain(None, read_pem_chain),
    "traefik": CertificateChain(None, read_traefik_chain),
    "traefik2": CertificateChain(None, read_traefik2_chain),
    "aws-alb-passthrough": CertificateChain(None, read_pem_chain),
}
"""The chain of each format that has one, by the format's name."""
