"""The embedded TLS server: any WSGI application, over TLS, seeing each connection's client certificate.

    serve(lambda: app, port=9443, certificate=Path("server.pem"), key=Path("server.key"))

The certificate is in the environment under `macaroon_cbat.wsgi_hop.PEER_CERTIFICATE`, where the guard
and the service look for it.
"""

from macaroon_cbat.tls.development import DevelopmentCertificates as DevelopmentCertificates
from macaroon_cbat.tls.development import development_certificates as development_certificates
from macaroon_cbat.tls.limits import Limits as Limits
from macaroon_cbat.tls.server import serve as serve
