"""What a resource server writes into the audit log: each request that it refuses."""

from typing import TYPE_CHECKING

from macaroon_cbat.audit import AuditEvent
from macaroon_cbat.bearer import read_bearer
from macaroon_cbat.errors import CaveatsNotMet, InsufficientScope, NotCertificateBound, OAuthError, Revoked
from macaroon_cbat.identifier import Grant, read_identifier
from macaroon_cbat.journal import note, utc
from macaroon_cbat.wire import read_macaroon

if TYPE_CHECKING:
    from macaroon_cbat.resource.admission import PresentedRequest

_OF_AUTHENTIC_TOKENS = (Revoked, CaveatsNotMet, NotCertificateBound, InsufficientScope)
"""Reasons found only after the signature: the token's identifier may be believed then."""


def note_refusal(error: OAuthError, request: "PresentedRequest", audience: str) -> None:
    """Write who is refused, where that is known, and why."""
    believed = isinstance(error, _OF_AUTHENTIC_TOKENS)
    grant = _grant_of(request.authorization) if believed else None
    note(
        AuditEvent(
            at=utc(request.now),
            event="admission.refused",
            who=None if grant is None else grant.client_id,
            token_id=None if grant is None else grant.jti,
            certificate=request.certificate,
            audience=audience,
            status=error.status,
            error=error.code,
            reason=str(error),
            address=request.address,
        )
    )


def _grant_of(authorization: str | None) -> Grant:
    return read_identifier(read_macaroon(read_bearer(authorization)).identifier)
