"""The header formats in which proxies forward a client certificate: one strict function each, and FORMATS.

A function takes the values of its headers, None for a missing one, and returns the PresentedCertificate.
Raises AmbiguousHeader for a value that the product does not write, and ProxyMisconfigured where the
product does not say whether there was a certificate. Trust is not checked here: `forwarded` checks it.
"""

import re
from collections.abc import Callable

from msgspec import Struct

from macaroon_cbat.certificate.cloud_formats import (
    read_aws_alb,
    read_aws_alb_passthrough,
    read_azure,
    read_cloudflare,
    read_cloudflare_sha256,
    read_cloudfront,
    read_google,
    read_google_sha256,
)
from macaroon_cbat.certificate.source import NO_CERTIFICATE, PresentedCertificate, presented_certificate
from macaroon_cbat.certificate.spelling import (
    ESCAPED,
    IN_ONE_LINE,
    LONGEST_TEXT,
    certificate_of_base64,
    certificate_of_byte_sequence,
    certificate_of_pem,
    certificates_of_pem,
    thumbprint_of_hex,
    thumbprint_of_x5t,
    unescaped,
)
from macaroon_cbat.certificate.xfcc import read_forwarded_client_cert
from macaroon_cbat.errors import AmbiguousHeader, ProxyMisconfigured

_HEX_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_NGINX_FAILED = re.compile(r"FAILED:[ -+\--~]{1,200}\Z")
"""A reason has no comma: one would come from a second header."""
_VIEWER = "CloudFront-Viewer-Cert"


class CertificateFormat(Struct, frozen=True, kw_only=True):
    """The format of a product: its headers, and the function that reads them.

    `read` takes the value of `header` and of each of the `companions`, in this order, None for one that
    did not come.
    """

    name: str
    header: str
    companions: tuple[str, ...] = ()
    read: Callable[..., PresentedCertificate]
    may_be_silent: bool = False
    """True if a product may send no header without a certificate: then a client's trailer stands alone."""


def read_rfc9440(value: str | None) -> PresentedCertificate:
    """Read `Client-Cert`, base64 between colons (RFC 9440 2.2); `::` or an empty value says none.

    RFC 9440 lets a proxy say that by silence, which is ProxyMisconfigured here: where silence means none, a
    client's trailer of this name stands alone. So servers that merge trailers get no such format either.
    """
    if value is None:
        raise ProxyMisconfigured("the proxy does not send Client-Cert: let it send :: without a certificate")
    if value in ("", "::"):
        return NO_CERTIFICATE
    return presented_certificate(certificate_of_byte_sequence(value))


def read_nginx(value: str | None, verify: str | None) -> PresentedCertificate:
    """Read nginx's `$ssl_client_escaped_cert`; `$ssl_client_verify` says whether there is one.

    A certificate that nginx found no issuer for is a certificate: the handshake proved its key.
    """
    if not verify:
        raise ProxyMisconfigured(
            "nginx does not send $ssl_client_verify: send it in the header beside the certificate (with "
            "ingress-nginx, annotate the Ingress with auth-tls-secret)"
        )
    if verify == "NONE":
        if value:
            raise AmbiguousHeader("nginx sends a certificate beside NONE, which means that there is none")
        return NO_CERTIFICATE
    if verify != "SUCCESS" and not _NGINX_FAILED.match(verify):
        raise AmbiguousHeader("the header beside the certificate is no value of $ssl_client_verify")
    if not value:
        raise ProxyMisconfigured(
            "nginx sends SUCCESS without the certificate: send $ssl_client_escaped_cert (with "
            "ingress-nginx, annotate the Ingress with auth-tls-pass-certificate-to-upstream)"
        )
    return read_escaped_pem(value)


def read_escaped_pem(value: str) -> PresentedCertificate:
    """Read one URL-encoded PEM certificate, as nginx and Envoy write it."""
    return presented_certificate(certificate_of_pem(value, ESCAPED))


def read_envoy(value: str | None) -> PresentedCertificate:
    """Read Envoy's `X-Forwarded-Client-Cert`; without a certificate it does not come."""
    return NO_CERTIFICATE if value is None else read_forwarded_client_cert(value)


def read_haproxy_sha256(value: str | None) -> PresentedCertificate:
    """Read HAProxy's `ssl_c_der,sha2(256),ub64enc`, which is x5t#S256, or `none`.

    HAProxy makes an empty value of a certificate that is larger than its buffers, here and in `haproxy`.
    """
    text = _promised(value, "HAProxy", "none")
    return NO_CERTIFICATE if text is None else PresentedCertificate(thumbprint=thumbprint_of_x5t(text))


def read_haproxy(value: str | None) -> PresentedCertificate:
    """Read HAProxy's `ssl_c_der,base64`, or `none`."""
    text = _promised(value, "HAProxy", "none")
    return NO_CERTIFICATE if text is None else presented_certificate(certificate_of_base64(text))


def read_openshift(value: str | None, verify: str | None) -> PresentedCertificate:
    """Read the `X-SSL-Client-DER` of OpenShift's router, base64, empty without a certificate.

    Its HAProxy puts the value in quotes or not, as its version is. `X-SSL-Client-Verify` is 0 in both cases:
    the router refuses the handshake for a certificate that it does not trust.
    """
    if value is None or not verify:
        raise ProxyMisconfigured(
            "OpenShift's router does not send X-SSL-Client-DER and X-SSL-Client-Verify: set clientTLS of its "
            "IngressController"
        )
    if verify != "0":
        raise AmbiguousHeader("OpenShift's router did not verify this certificate")
    text = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    return presented_certificate(certificate_of_base64(text)) if text else NO_CERTIFICATE


def read_kong(value: str | None) -> PresentedCertificate:
    """Read the `X-Client-Cert` of Kong's tls-metadata-headers: URL-encoded PEM, or no header.

    Should the chain come too, the client's own certificate is the first.
    """
    if value is None:
        return NO_CERTIFICATE
    leaf, *_ = certificates_of_pem(value, ESCAPED)
    return presented_certificate(leaf)


def read_apache(value: str | None) -> PresentedCertificate:
    """Read Apache's `%{SSL_CLIENT_CERT}s`, PEM in one line, or `(null)`."""
    text = _promised(value, "Apache", "(null)")
    return NO_CERTIFICATE if text is None else presented_certificate(certificate_of_pem(text, IN_ONE_LINE))


def read_caddy(value: str | None) -> PresentedCertificate:
    """Read Caddy's `{http.request.tls.client.certificate_der_base64}`, empty without a certificate."""
    return NO_CERTIFICATE if value == "" else presented_certificate(certificate_of_base64(_placed(value)))


def read_caddy_sha256(value: str | None) -> PresentedCertificate:
    """Read Caddy's `{http.request.tls.client.fingerprint}`, the hash of nothing without a certificate."""
    text = _placed(value)
    return (
        NO_CERTIFICATE
        if text == _HEX_OF_NOTHING
        else PresentedCertificate(thumbprint=thumbprint_of_hex(text))
    )


def read_traefik(value: str | None) -> PresentedCertificate:
    """Read the `X-Forwarded-Tls-Client-Cert` of Traefik 3: a chain of base64 with commas, leaf first."""
    if value is None:
        return NO_CERTIFICATE
    if len(value) > LONGEST_TEXT:
        raise AmbiguousHeader("this certificate chain is too long")
    leaf, *_ = [certificate_of_base64(part) for part in value.split(",")]
    return presented_certificate(leaf)


def read_traefik2(value: str | None) -> PresentedCertificate:
    """Read that of Traefik 2 before 2.9.4, which URL-encodes each certificate; later ones are `traefik`."""
    return read_traefik(value if value is None else unescaped(value))


def _promised(value: str | None, product: str, nothing: str) -> str | None:
    """Return the value, or None if the product sends its word for no certificate."""
    if value is None:
        raise ProxyMisconfigured(
            f"{product} sends neither a certificate nor {nothing}: let it write the header on every request"
        )
    if value == "":
        raise AmbiguousHeader(f"{product} sends an empty certificate: too large for its buffers")
    return None if value == nothing else value


def _placed(value: str | None) -> str:
    """Return the value that Caddy put in place of a placeholder."""
    if not value or value.startswith("{"):
        raise ProxyMisconfigured("Caddy did not fill in the placeholder: use Caddy 2.11 or newer, with TLS")
    return value


def _format(
    name: str, header: str, read: Callable[..., PresentedCertificate], *companions: str
) -> CertificateFormat:
    return CertificateFormat(name=name, header=header, companions=companions, read=read)


def _maybe_silent(name: str, header: str, read: Callable[..., PresentedCertificate]) -> CertificateFormat:
    return CertificateFormat(name=name, header=header, read=read, may_be_silent=True)


FORMATS = {
    each.name: each
    for each in (
        _maybe_silent("rfc9440", "Client-Cert", read_rfc9440),
        _format("nginx", "Clientcert", read_nginx, "Clientcertverify"),
        _format("ingress-nginx", "Ssl-Client-Cert", read_nginx, "Ssl-Client-Verify"),
        _maybe_silent("envoy", "X-Forwarded-Client-Cert", read_envoy),
        _format("haproxy-sha256", "Clientcertx5t", read_haproxy_sha256),
        _format("haproxy", "Clientcert", read_haproxy),
        _format("openshift", "X-SSL-Client-DER", read_openshift, "X-SSL-Client-Verify"),
        _maybe_silent("kong", "X-Client-Cert", read_kong),
        _format("apache", "Clientcert", read_apache),
        _format("caddy", "Clientcert", read_caddy),
        _format("caddy-sha256", "Clientcertsha256", read_caddy_sha256),
        _maybe_silent("traefik", "X-Forwarded-Tls-Client-Cert", read_traefik),
        _maybe_silent("traefik2", "X-Forwarded-Tls-Client-Cert", read_traefik2),
        _format("aws-alb", "X-Amzn-Mtls-Clientcert-Leaf", read_aws_alb),
        _maybe_silent("aws-alb-passthrough", "X-Amzn-Mtls-Clientcert", read_aws_alb_passthrough),
        _format("google", "Clientcert", read_google, "Clientcertpresent"),
        _format("google-sha256", "Clientcertsha256", read_google_sha256, "Clientcertpresent"),
        _format("cloudflare", "Cf-Client-Cert-Der-Base64", read_cloudflare, "Cf-Cert-Presented"),
        _format("cloudflare-sha256", "Cf-Client-Cert-Sha256", read_cloudflare_sha256, "Cf-Cert-Presented"),
        _maybe_silent("azure", "X-ARR-ClientCert", read_azure),
        _format("cloudfront", f"{_VIEWER}-Sha256", read_cloudfront, f"{_VIEWER}-Present"),
    )
}
"""Every format by its name."""

CERTIFICATE_HEADERS = tuple(
    dict.fromkeys(name for each in FORMATS.values() for name in (each.header, *each.companions))
)
"""The headers that carry a certificate: no proxy forwards a client's own under these names."""
