"""Over which client certificate a request came: asked once a request, whoever wants to know."""

import logging

from flask import request

from macaroon_cbat.certificate.source import (
    IGNORED,
    CertificateSource,
    PresentedCertificate,
    RequestConnection,
    intermediates_of,
)
from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.errors import ServerMisconfigured
from macaroon_cbat.service.metrics import count_ignored

log = logging.getLogger("macaroon_cbat.service")

_PRESENTED = "macaroon_cbat.presented"
"""Environment key of the peer: no header can write it, and it ends with the request."""


def refuse_hidden(presented: PresentedCertificate) -> None:
    """Raise ServerMisconfigured where a certificate is needed and none can arrive, whatever comes."""
    if presented.hidden is not None:
        raise ServerMisconfigured(presented.hidden)


def once_a_request(source: CertificateSource) -> CertificateSource:
    """Return the source so that it answers once for the request at hand.

    A certificate header that it does not believe is logged and counted: a spoof, or a proxy that was not
    named.
    """
    return _OnceARequest(source)


class _OnceARequest:
    """The answer of a source, kept in the environment of a request."""

    def __init__(self, source: CertificateSource) -> None:
        """Ask this source."""
        self._source = source

    def __call__(self, connection: RequestConnection, /) -> PresentedCertificate:
        """Return the peer, as the source first said."""
        environ = request.environ
        if _PRESENTED not in environ:
            presented = environ[_PRESENTED] = self._source(connection)
            if presented.ignored is not None:
                log.warning(IGNORED, presented.ignored)
                count_ignored()
        known: PresentedCertificate = environ[_PRESENTED]
        return known

    def intermediates(self, connection: RequestConnection, /) -> tuple[DerCertificate, ...]:
        """Return the certificates that came with the peer's own."""
        return intermediates_of(self._source, connection)
