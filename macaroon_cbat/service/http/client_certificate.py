"""The client certificate of the request at hand, found once a request.

The certificate source of an application is named once, by `find_certificates_by`; token endpoint, guard,
tools and audit log then read the same `PresentedCertificate`.
"""

import logging
from typing import cast

from flask import Flask, Request, current_app

from macaroon_cbat.certificate.source import (
    IGNORED,
    CertificateSource,
    PresentedCertificate,
    intermediates_of,
)
from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import ServerMisconfigured
from macaroon_cbat.service.metrics import count_ignored

log = logging.getLogger("macaroon_cbat.service")

_SOURCE = "macaroon_cbat.certificate_source"
_PRESENTED = "macaroon_cbat.presented"
"""Environment key, which ends with the request. A header cannot write it, and a peer that speaks uWSGI's
protocol, SCGI or FastCGI writes text."""


def find_certificates_by(app: Flask, source: CertificateSource) -> None:
    """Let this source find the client certificates of the application's requests."""
    app.extensions[_SOURCE] = source


def client_certificate(request: Request) -> PresentedCertificate:
    """Return the client certificate of a request of the current application.

    The source is called once a request. A certificate header that it ignores is logged and counted: the
    client forged it, or the operator did not name the proxy. Raises AmbiguousHeader or ProxyMisconfigured as
    the source does.
    """
    known = request.environ.get(_PRESENTED)
    if not isinstance(known, PresentedCertificate):
        known = request.environ[_PRESENTED] = _source()(WsgiConnection(request.environ))
        if known.ignored is not None:
            log.warning(IGNORED, known.ignored)
            count_ignored()
    return known


def client_intermediates(request: Request) -> tuple[DerCertificate, ...]:
    """Return the certificates that the client sent beside its own: none of them is trusted."""
    return intermediates_of(_source(), WsgiConnection(request.environ))


def require_reachable(presented: PresentedCertificate) -> None:
    """Raise ServerMisconfigured if a certificate is needed and this server can show none."""
    if presented.hidden is not None:
        raise ServerMisconfigured(presented.hidden)


def _source() -> CertificateSource:
    return cast("CertificateSource", current_app.extensions[_SOURCE])
