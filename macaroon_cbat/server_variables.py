"""The peer source for applications inside a web server that terminates TLS itself: no header is involved."""

from macaroon_cbat.certificate_text import AS_FILED, certificate_of_pem
from macaroon_cbat.errors import ProxyMisconfigured
from macaroon_cbat.peer import NOBODY, Hop, Peer, peer_of
from macaroon_cbat.wsgi_hop import WsgiHop


def apache_variable(hop: Hop, /) -> Peer:
    """Return the peer of Apache's TLS connection, for applications under mod_wsgi.

    Apache must ask for certificates (`SSLVerifyClient optional_no_ca`) and show them
    (`SSLOptions +ExportCertData`); the variable is empty when there was none. Raises ProxyMisconfigured
    where it is missing, also for plain HTTP: nobody can tell.
    """
    text = hop.variable("SSL_CLIENT_CERT") if isinstance(hop, WsgiHop) else None
    if text is None:
        raise ProxyMisconfigured(
            "Apache does not show SSL_CLIENT_CERT: serve over TLS under mod_wsgi with "
            "SSLVerifyClient optional_no_ca and SSLOptions +ExportCertData"
        )
    return peer_of(certificate_of_pem(text, AS_FILED)) if text else NOBODY
