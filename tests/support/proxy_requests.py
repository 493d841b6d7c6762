"""The questions of each kind of proxy about a client's request, written down from what the real ones send."""

import hashlib
import ssl
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from tests.support.gateway_process import Answered, Running

Fields = list[tuple[str, str]]


@dataclass
class Asked:
    """A client's request, as the proxy sees it."""

    method: str = "GET"
    uri: str = "/invoices/7?page=2"
    token: str | None = None
    certificate: bytes | None = None
    address: str = "192.0.2.7"
    more: tuple[tuple[str, str], ...] = ()

    @property
    def authorization(self) -> Fields:
        """The header that every proxy copies as it is."""
        return [] if self.token is None else [("Authorization", f"Bearer {self.token}")]

    @property
    def pem(self) -> str:
        """The certificate as OpenSSL writes it, URL-encoded."""
        assert self.certificate is not None
        return quote(ssl.DER_cert_to_PEM_cert(self.certificate), safe="")


def forwarded(asked: Asked, certificate: Fields) -> Fields:
    return [
        ("X-Forwarded-Method", asked.method),
        ("X-Forwarded-Uri", asked.uri),
        ("X-Forwarded-For", asked.address),
        *asked.authorization,
        *certificate,
        *asked.more,
    ]


def nginx(gateway: Running, asked: Asked) -> Answered:
    if asked.certificate is None:
        certificate = [("Clientcertverify", "NONE")]
    else:
        certificate = [("Clientcert", asked.pem), ("Clientcertverify", "FAILED:self-signed certificate")]
    return gateway.ask(forwarded(asked, certificate))


def traefik(gateway: Running, asked: Asked) -> Answered:
    encoded = b64encode(asked.certificate or b"").decode()
    certificate = [("X-Forwarded-Tls-Client-Cert", encoded)] if encoded else []
    return gateway.ask(forwarded(asked, certificate))


def caddy(gateway: Running, asked: Asked) -> Answered:
    digest = hashlib.sha256(asked.certificate or b"").hexdigest()
    return gateway.ask(forwarded(asked, [("Clientcertsha256", digest)]))


def haproxy(gateway: Running, asked: Asked) -> Answered:
    thumbprint = thumbprint_of(DerCertificate(asked.certificate)) if asked.certificate else "none"
    return gateway.ask(forwarded(asked, [("Clientcertx5t", thumbprint)]))


def envoy(gateway: Running, asked: Asked) -> Answered:
    """Ask as Envoy's HTTP client does: the client's own method and target, under a prefix."""
    digest = hashlib.sha256(asked.certificate or b"").hexdigest()
    certificate = [("x-forwarded-client-cert", f"Hash={digest}")] if asked.certificate else []
    fields = [("x-forwarded-for", asked.address), *asked.authorization, *certificate, *asked.more]
    return gateway.ask([*fields, ("content-length", "0")], asked.method, "/envoy" + asked.uri)


KINDS: dict[str, Callable[[Running, Asked], Answered]] = {
    "nginx": nginx,
    "traefik": traefik,
    "caddy": caddy,
    "haproxy": haproxy,
    "envoy": envoy,
}
