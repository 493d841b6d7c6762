"""Certificates in the spellings of each product, written independently of the code under test."""

import base64
import hashlib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID


def make_certificate(name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None) -> bytes:
    """Return the DER bytes of a new self-signed certificate."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(
        issuer_name=subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=datetime(2026, 1, 1, tzinfo=UTC),
        not_valid_after=datetime(2036, 1, 1, tzinfo=UTC),
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def pem(der: bytes) -> str:
    return ssl.DER_cert_to_PEM_cert(der)


def base64_of(der: bytes) -> str:
    return base64.b64encode(der).decode()


def escaped_pem(der: bytes) -> str:
    return quote(pem(der), safe="")


def hex_hash(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


def base64_hash(der: bytes) -> str:
    return base64.b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def x5t(der: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


SPELLINGS: dict[str, Callable[[bytes], tuple[str, ...]]] = {
    "rfc9440": lambda der: (f":{base64_of(der)}:",),
    "nginx": lambda der: (escaped_pem(der), "SUCCESS"),
    "ingress-nginx": lambda der: (escaped_pem(der), "SUCCESS"),
    "openshift": lambda der: (base64_of(der), "0"),
    "kong": lambda der: (escaped_pem(der),),
    "envoy": lambda der: (f'Hash={hex_hash(der)};Cert="{escaped_pem(der)}"',),
    "haproxy-sha256": lambda der: (x5t(der),),
    "haproxy": lambda der: (base64_of(der),),
    "apache": lambda der: (pem(der).replace("\n", " ").strip(),),
    "caddy": lambda der: (base64_of(der),),
    "caddy-sha256": lambda der: (hex_hash(der),),
    "traefik": lambda der: (base64_of(der),),
    "traefik2": lambda der: (quote_plus(base64_of(der)),),
    "aws-alb": lambda der: (quote(pem(der), safe="+=/"),),
    "aws-alb-passthrough": lambda der: (quote(pem(der), safe="+=/"),),
    "google": lambda der: (f":{base64_of(der)}:", "true"),
    "google-sha256": lambda der: (base64_hash(der), "true"),
    "cloudflare": lambda der: (base64_of(der), "true"),
    "cloudflare-sha256": lambda der: (hex_hash(der), "true"),
    "azure": lambda der: (base64_of(der),),
    "cloudfront": lambda der: (hex_hash(der), "1"),
}
"""The values of a format's headers, in order, when this certificate was presented."""

NONE: dict[str, tuple[str | None, ...]] = {
    "rfc9440": ("::",),
    "nginx": (None, "NONE"),
    "ingress-nginx": (None, "NONE"),
    "openshift": ("", "0"),
    "kong": (None,),
    "envoy": (None,),
    "haproxy-sha256": ("none",),
    "haproxy": ("none",),
    "apache": ("(null)",),
    "caddy": ("",),
    "caddy-sha256": (hashlib.sha256(b"").hexdigest(),),
    "traefik": (None,),
    "traefik2": (None,),
    "aws-alb-passthrough": (None,),
    "google": ("", "false"),
    "google-sha256": ("", "false"),
    "cloudflare": (None, "false"),
    "cloudflare-sha256": (None, "false"),
    "azure": (None,),
    "cloudfront": (None, "0"),
}
"""The values of a format's headers when no certificate was presented; aws-alb then refuses the handshake."""

HASH_ONLY = {"haproxy-sha256", "caddy-sha256", "google-sha256", "cloudflare-sha256", "cloudfront"}

SILENT = {"aws-alb-passthrough", "azure", "envoy", "kong", "traefik", "traefik2"}
"""The formats of products that send nothing without a certificate."""
