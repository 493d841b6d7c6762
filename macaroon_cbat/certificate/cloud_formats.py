"""The header formats in which cloud load balancers forward a client certificate, by their documentation.

The functions have the contract of those in `certificate.formats`.
"""

from macaroon_cbat.certificate.source import NO_CERTIFICATE, PresentedCertificate, presented_certificate
from macaroon_cbat.certificate.spelling import (
    ESCAPED,
    HALF_ESCAPED,
    PemSpelling,
    certificate_of_base64,
    certificate_of_byte_sequence,
    certificate_of_pem,
    certificates_of_pem,
    thumbprint_of_base64,
    thumbprint_of_hex,
)
from macaroon_cbat.errors import AmbiguousHeader, ProxyMisconfigured


def read_aws_alb(value: str | None) -> PresentedCertificate:
    """Read an AWS load balancer's `X-Amzn-Mtls-Clientcert-Leaf`, which mode *verify* always sends.

    AWS's page says that `+ = /` are not escaped, and escapes `=` in its example: both spellings are read,
    but no mixture of them.
    """
    if not value:
        raise ProxyMisconfigured("the load balancer sends no certificate: set its mutual TLS mode to verify")
    return presented_certificate(certificate_of_pem(value, _aws_spelling(value)))


def read_aws_alb_passthrough(value: str | None) -> PresentedCertificate:
    """Read the `X-Amzn-Mtls-Clientcert` of mode *passthrough*: a PEM chain, leaf first, or no header."""
    if value is None:
        return NO_CERTIFICATE
    leaf, *_ = certificates_of_pem(value, _aws_spelling(value))
    return presented_certificate(leaf)


def read_google(value: str | None, present: str | None) -> PresentedCertificate:
    """Read Google Cloud's `{client_cert_leaf}`, base64 between colons, beside `{client_cert_present}`."""
    text = _said(value, present, "true", "false")
    return NO_CERTIFICATE if text is None else presented_certificate(certificate_of_byte_sequence(text))


def read_google_sha256(value: str | None, present: str | None) -> PresentedCertificate:
    """Read Google Cloud's `{client_cert_sha256_fingerprint}` beside `{client_cert_present}`.

    Google's page calls it base64, and Google's sample compares it without padding: both are read.
    """
    text = _said(value, present, "true", "false")
    return NO_CERTIFICATE if text is None else PresentedCertificate(thumbprint=thumbprint_of_base64(text))


def read_cloudflare(value: str | None, presented: str | None) -> PresentedCertificate:
    """Read Cloudflare's `Cf-Client-Cert-Der-Base64` beside `Cf-Cert-Presented`.

    Cloudflare's pages say both that the certificate comes with every request of a connection and that it
    comes with the first one: a request with `true` and without a certificate is ProxyMisconfigured.
    """
    text = _said(value, presented, "true", "false")
    return NO_CERTIFICATE if text is None else presented_certificate(certificate_of_base64(text))


def read_cloudflare_sha256(value: str | None, presented: str | None) -> PresentedCertificate:
    """Read Cloudflare's `Cf-Client-Cert-Sha256`, hexadecimal, beside `Cf-Cert-Presented`."""
    text = _said(value, presented, "true", "false")
    return NO_CERTIFICATE if text is None else PresentedCertificate(thumbprint=thumbprint_of_hex(text))


def read_azure(value: str | None) -> PresentedCertificate:
    """Read the `X-ARR-ClientCert` of Azure App Service and IIS: base64, or no header."""
    return NO_CERTIFICATE if value is None else presented_certificate(certificate_of_base64(value))


def read_cloudfront(value: str | None, present: str | None) -> PresentedCertificate:
    """Read CloudFront's `CloudFront-Viewer-Cert-Sha256`, hexadecimal, beside its `-Present`."""
    text = _said(value, present, "1", "0")
    return NO_CERTIFICATE if text is None else PresentedCertificate(thumbprint=thumbprint_of_hex(text))


def _aws_spelling(text: str) -> PemSpelling:
    escaped = ESCAPED.escapes
    return ESCAPED if any(code in text for _, code in escaped) else HALF_ESCAPED


def _said(value: str | None, present: str | None, yes: str, no: str) -> str | None:
    """Return the value of a product whose companion header tells whether there is a certificate; or None."""
    if present not in (yes, no):
        if present:
            raise AmbiguousHeader(f"whether there is a certificate must be {yes} or {no}")
        raise ProxyMisconfigured(
            "the proxy does not say whether there is a certificate: let it write both headers"
        )
    if value and present == no:
        raise AmbiguousHeader("the proxy says that there is no certificate, and one came")
    if not value and present == yes:
        raise ProxyMisconfigured(
            "the proxy says that there is a certificate, and sends none: let it write both headers"
        )
    return value or None
