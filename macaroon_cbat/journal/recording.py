"""Hand audit events to the logger `macaroon_cbat.audit`, whose handler writes them."""

import atexit
import logging
import os
from datetime import UTC, datetime

from macaroon_cbat.audit import AuditEvent, Utc, audit_line
from macaroon_cbat.errors import Unavailable
from macaroon_cbat.journal.refusals import REFUSALS, RefusalLines

log = logging.getLogger("macaroon_cbat.audit")
_errors = logging.getLogger("macaroon_cbat.journal")


def record(event: AuditEvent) -> None:
    """Write the event, or raise Unavailable: what cannot be audited must not be acknowledged."""
    try:
        log.info("%s", audit_line(event))
    except OSError as error:
        raise Unavailable(f"the audit log cannot be written: {error.strerror or error}") from error


def note(event: AuditEvent) -> None:
    """Write the event; when that fails, the ordinary log has it, and what happened still happens.

    Of refusals only so many are written in a while, and then how many more there were.
    """
    if event.event not in REFUSALS or _refusals.admits(event):
        _note(event)


def flush_refusals() -> None:
    """Write how many refusals were left out so far: a process that ends without `atexit` calls this."""
    _refusals.flush()


def bound_refusals(lines: int) -> None:
    """Write so many lines of each kind of refusal in ten seconds and process; 0 is every one."""
    _refusals.lines = lines


def _note(event: AuditEvent) -> None:
    try:
        record(event)
    except Unavailable as error:
        _errors.error("%s: %s", error, audit_line(event))


def utc(moment: float) -> Utc:
    """Return seconds since the epoch as RFC 3339 spells them, in UTC."""
    return Utc(datetime.fromtimestamp(int(moment), UTC).isoformat().replace("+00:00", "Z"))


_refusals = RefusalLines(_note)
atexit.register(flush_refusals)
os.register_at_fork(after_in_child=_refusals.forget)
