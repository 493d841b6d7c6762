"""The audit of a change by an administrator: before a right is gained, and after what takes one away."""

from typing import Any

from macaroon_cbat.audit.event import EventKind
from macaroon_cbat.errors import Unavailable
from macaroon_cbat.service.registration.rules import Audit


def audit_gained(audit: Audit, kind: EventKind, /, **members: Any) -> None:
    """Write the rights that are about to be gained, or raise Unavailable before they are."""
    try:
        audit(kind, **members)
    except Unavailable as error:
        raise Unavailable(f"not done, because it cannot be audited: {error}") from error


def audit_done(audit: Audit, kind: EventKind, /, **members: Any) -> None:
    """Write what was done, or raise Unavailable, which says that it was."""
    try:
        audit(kind, **members)
    except Unavailable as error:
        raise Unavailable(f"done, but not audited: {error}") from error
