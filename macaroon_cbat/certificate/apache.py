"""The certificate source for applications under mod_wsgi, where Apache terminates TLS; it reads no header."""

from macaroon_cbat.certificate.source import (
    NO_CERTIFICATE,
    PresentedCertificate,
    RequestConnection,
    presented_certificate,
)
from macaroon_cbat.certificate.spelling import AS_FILED, certificate_of_pem
from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import ProxyMisconfigured


def apache_variable(connection: RequestConnection, /) -> PresentedCertificate:
    """Return the certificate of Apache's TLS connection, for applications under mod_wsgi.

    Apache must ask for certificates (`SSLVerifyClient optional_no_ca`) and show them
    (`SSLOptions +ExportCertData`); the variable is empty without one. Raises ProxyMisconfigured if it is
    missing, for plain HTTP as well: whether there was a certificate cannot be told.
    """
    text = connection.variable("SSL_CLIENT_CERT") if isinstance(connection, WsgiConnection) else None
    if text is None:
        raise ProxyMisconfigured(
            "Apache does not show SSL_CLIENT_CERT: serve over TLS under mod_wsgi with "
            "SSLVerifyClient optional_no_ca and SSLOptions +ExportCertData"
        )
    return presented_certificate(certificate_of_pem(text, AS_FILED)) if text else NO_CERTIFICATE
