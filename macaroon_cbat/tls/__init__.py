"""The embedded TLS server: any WSGI application, over TLS, seeing each connection's client certificate.

    serve(lambda: app, port=9443, certificate=Path("server.pem"), key=Path("server.key"))

The certificate is in the environment under `certificate.wsgi_connection.PEER_CERTIFICATE`, where the
guard and the service look for it.
"""

from macaroon_cbat.errors.extras import extra

with extra("tls"):
    from macaroon_cbat.server.limits import Limits as Limits
    from macaroon_cbat.tls.development_ca import DevelopmentCertificates as DevelopmentCertificates
    from macaroon_cbat.tls.development_ca import development_certificates as development_certificates
    from macaroon_cbat.tls.server import serve as serve
