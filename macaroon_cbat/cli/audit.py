"""Audit events of the command line, whose actor is the operator."""

from typing import Any

from macaroon_cbat.audit import utc, write
from macaroon_cbat.audit.event import OPERATOR, AuditEvent, EventKind
from macaroon_cbat.cli.options import now
from macaroon_cbat.errors import Unavailable


def write_change(kind: EventKind, /, **members: Any) -> None:
    """Write what was done, or raise Unavailable."""
    write(AuditEvent(at=utc(now()), event=kind, who=OPERATOR, **members))


def write_done(kind: EventKind, /, **members: Any) -> None:
    """Write what was done, or raise Unavailable: the command fails then, and what it did stays done."""
    try:
        write_change(kind, **members)
    except Unavailable as error:
        raise Unavailable(f"done, but not audited: {error}") from error


def write_before(kind: EventKind, /, **members: Any) -> None:
    """Write the event before the act, or raise Unavailable: the command fails then, and does nothing."""
    try:
        write_change(kind, **members)
    except Unavailable as error:
        raise Unavailable(f"not done, because it cannot be audited: {error}") from error
