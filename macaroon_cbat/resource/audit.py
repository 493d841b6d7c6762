"""The audit events of a resource server: one for each request that it refuses."""

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
    """Log and count an ignored certificate header: an attacker's, or that of a proxy not named as trusted."""
    log.warning(IGNORED, why)
    count_ignored()


def reason_of(
    error: OAuthError | Unavailable, request: PresentedRequest, presented: PresentedCertificate
) -> str:
    """Return the reason of the error, with what of the request was ignored or unknown."""
    reason = with_ignored(str(error), presented)
    if isinstance(error, CaveatsNotMet) and request.why_no_path is not None:
        reason = f"{reason}; {request.why_no_path}"
    return reason


def log_misconfigured(error: ServerMisconfigured, request: PresentedRequest) -> None:
    """Log the remedy for the operator once, and a warning for each request."""
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
    """Write the audit event of a refusal, with client and token if its signature has been verified."""
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
