"""Hand audit events to the logger `macaroon_cbat.audit`, whose handler writes them."""

import logging
from datetime import UTC, datetime

from macaroon_cbat.audit import AuditEvent, Utc, audit_line
from macaroon_cbat.errors import Unavailable

log = logging.getLogger("macaroon_cbat.audit")
_errors = logging.getLogger("macaroon_cbat.journal")


def record(event: AuditEvent) -> None:
    """Write the event, or raise Unavailable: what cannot be audited must not be acknowledged."""
    try:
        log.info("%s", audit_line(event))
    except OSError as error:
        raise Unavailable(f"the audit log cannot be written: {error.strerror or error}") from error


def note(event: AuditEvent) -> None:
    """Write the event; when that fails, the ordinary log has it, and what happened still happens."""
    try:
        record(event)
    except Unavailable as error:
        _errors.error("%s: %s", error, audit_line(event))


def utc(moment: float) -> Utc:
    """Return seconds since the epoch as RFC 3339 spells them, in UTC."""
    return Utc(datetime.fromtimestamp(int(moment), UTC).isoformat().replace("+00:00", "Z"))
