"""Hand audit events to the logger `macaroon_cbat.audit`, whose handler writes them."""

import atexit
import logging
import os
from datetime import UTC, datetime

from macaroon_cbat.audit.event import AuditEvent, Utc, audit_line
from macaroon_cbat.audit.plain_refusals import tell
from macaroon_cbat.audit.refusals import RefusalLines, is_active, is_bounded
from macaroon_cbat.errors import Unavailable

log = logging.getLogger("macaroon_cbat.audit")
troubles = logging.getLogger("macaroon_cbat.audit_log")
"""The log of what is wrong with the audit log: not a child of `log`, or its lines would be audited."""


def write(event: AuditEvent) -> None:
    """Write the event, or raise Unavailable: what cannot be audited must not be acknowledged."""
    try:
        log.info("%s", audit_line(event))
    except OSError as error:
        place = f"the audit log {error.filename or ''}".rstrip()
        reason = error.strerror or str(error)
        raise Unavailable(f"{place} cannot be written ({reason}): make room or name another file") from error


def write_or_log(event: AuditEvent) -> None:
    """Write the event; when that fails, the ordinary log has it, and what happened still happens.

    Where audit lines go nowhere, the ordinary log has the reason of a refusal in words, as a warning.
    Of refusals and of introspections only so many are written in a while, and then how many more there were.
    """
    bound = _introspections if is_active(event) else _refusals
    if not is_bounded(event) or bound.admits(event):
        _write_or_log(event)


def flush_refusals() -> None:
    """Write how many lines were left out so far: a process that ends without `atexit` calls this."""
    _refusals.flush()
    _introspections.flush()


def bound_refusals(lines: int) -> None:
    """Give each budget of refusals so many lines in ten seconds and process; 0 is every one."""
    _refusals.lines = _introspections.lines = lines


def is_audited() -> bool:
    """Return True if an audit line is kept: in a file, or by the application's own logging."""
    return log.isEnabledFor(logging.INFO) and log.hasHandlers()


def _write_or_log(event: AuditEvent) -> None:
    if not is_audited():
        tell(event)
        return
    try:
        write(event)
    except Unavailable as error:
        troubles.error("%s: %s", error, audit_line(event))


def utc(moment: float) -> Utc:
    """Return seconds since the epoch as RFC 3339 spells them, in UTC."""
    return Utc(datetime.fromtimestamp(int(moment), UTC).isoformat().replace("+00:00", "Z"))


def _forget() -> None:
    _refusals.forget()
    _introspections.forget()


_refusals = RefusalLines(_write_or_log)
_introspections = RefusalLines(_write_or_log, summary="introspections.omitted")
atexit.register(flush_refusals)
os.register_at_fork(after_in_child=_forget)
