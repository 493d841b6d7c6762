"""What a resource server writes into the audit log: each request that it refuses."""

import logging

from macaroon_cbat.audit import utc, write_or_log
from macaroon_cbat.audit.event import AuditEvent
from macaroon_cbat.certificate.source import IGNORED, PresentedCertificate, with_ignored
from macaroon_cbat.errors import CaveatsNotMet, OAuthError, ServerMisconfigured, Unavailable
from macaroon_cbat.resource.hidden_certificates import tell_operator
from macaroon_cbat.resource.metrics import count_ignored
from macaroon_cbat.resource.request import PresentedRequest

log = logging.getLogger("macaroon_cbat.resource")


def warn_ignored(why: str) -> None:
    """Log and count a certificate header that was not believed: a spoof, or a proxy that nobody named."""
    log.warning(IGNORED, why)
    count_ignored()


def reason_of(
    error: OAuthError | Unavailable, request: PresentedRequest, presented: PresentedCertificate
) -> str:
    """Return the whole reason: that of the error, and what of the request was not believed or not known."""
    reason = with_ignored(str(error), presented)
    if isinstance(error, CaveatsNotMet) and request.why_no_path is not None:
        reason = f"{reason}; {request.why_no_path}"
    return reason


def log_misconfigured(error: ServerMisconfigured, request: PresentedRequest) -> None:
    """Tell the operator the remedy, once, and of each request that there was one."""
    tell_operator(str(error))
    log.warning(
        "a certificate-bound token cannot be judged: no client certificate arrives (from %s)", request.address
    )


def write_or_log_refusal(
    error: OAuthError,
    reason: str,
    request: PresentedRequest,
    presented: PresentedCertificate,
    audience: str,
) -> None:
    """Write who is refused, where that is known, and why."""
    grant = error.grant
    if isinstance(error, CaveatsNotMet) and request.why_no_path is not None:
        log.warning("%s", request.why_no_path)
    write_or_log(
        AuditEvent(
            at=utc(request.now),
            event="admission.refused",
            who=None if grant is None else grant.client_id,
            token_id=None if grant is None else grant.token_id,
            certificate=presented.thumbprint,
            audience=audience,
            status=error.status,
            error=error.code,
            reason=reason,
            address=request.address,
        )
    )
