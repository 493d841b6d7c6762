"""The answer where no client certificate can reach the server: 503, and the remedy in its log."""

import logging

from macaroon_cbat.certificate.source import PresentedCertificate
from macaroon_cbat.errors import (
    CaveatsNotMet,
    Inactive,
    InvalidToken,
    NotCertificateBound,
    ServerMisconfigured,
)
from macaroon_cbat.files.notices import say_once
from macaroon_cbat.macaroon.inspection import confirmations
from macaroon_cbat.macaroon.wire import read_macaroon

log = logging.getLogger("macaroon_cbat.resource")

_BEHIND_A_PROXY = (
    "; where a proxy terminates TLS, name it: certificate_source=Forwarded(FORMAT, "
    "trust=trusted_proxies([...])) of macaroon_cbat"
)


def refuse_hidden(error: InvalidToken, text: str, presented: PresentedCertificate) -> None:
    """Raise ServerMisconfigured if the token lacks a certificate alone, and none can reach this server.

    A forged or expired token stays refused, and so does an unbound one, which its holder binds next. A
    service that is asked without a certificate calls every bound token inactive: that cannot be told either.
    """
    if presented.hidden is None:
        return
    if isinstance(error, NotCertificateBound):
        tell_operator(presented.hidden)
        return
    lacks_it_alone = isinstance(error, CaveatsNotMet) and error.lacks_certificate_alone
    if lacks_it_alone or (isinstance(error, Inactive) and confirmations(read_macaroon(text))):
        raise ServerMisconfigured(presented.hidden) from error


def tell_operator(why: str) -> None:
    """Log the remedy as an error, once in the life of this process, however many requests come."""
    say_once(
        log,
        f"no client certificate reaches this application, because {why}{_BEHIND_A_PROXY}",
    )
