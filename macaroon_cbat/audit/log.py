"""The two verbs of the audit log, over the logger `macaroon_cbat.audit`."""

import atexit
import logging
import os
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from functools import lru_cache

from macaroon_cbat.audit.event import AuditEvent, Utc, audit_line
from macaroon_cbat.audit.plain_refusals import tell
from macaroon_cbat.audit.refusals import RefusalLines, is_active, is_bounded
from macaroon_cbat.errors import Unavailable

log = logging.getLogger("macaroon_cbat.audit")
troubles = logging.getLogger("macaroon_cbat.audit_log")
"""The log of what is wrong with the audit log: not a child of `log`, or its lines would be audited."""


class LineHandler(logging.Handler, ABC):
    """A handler that takes a line as it is, for which no record need be made."""

    @abstractmethod
    def append(self, line: str) -> None:
        """Write the line. Raises OSError."""


def write(event: AuditEvent) -> None:
    """Write the event. Raises Unavailable: an action that cannot be audited must not be acknowledged."""
    try:
        if (handler := _only_handler()) is None:
            log.info("%s", audit_line(event))
        else:
            handler.append(audit_line(event))
    except OSError as error:
        place = f"the audit log {error.filename or ''}".rstrip()
        reason = error.strerror or str(error)
        raise Unavailable(f"{place} cannot be written ({reason}): make room or name another file") from error


def write_or_log(event: AuditEvent) -> None:
    """Write the event, or log it as an error if that fails: a refusal stays a refusal.

    The ordinary log has the reason of a refusal as a warning if audit lines have no handler. Refusals and
    introspections have a bound; a line at the end says how many more there were.
    """
    bound = _introspections if is_active(event) else _refusals
    if not is_bounded(event) or bound.admits(event):
        _write_or_log(event)


def flush_refusals() -> None:
    """Write the number of omitted lines; for a process that ends without running `atexit`."""
    _refusals.flush()
    _introspections.flush()


def forget_refusals() -> None:
    """Count refusals from zero, as a process that has just started or been forked."""
    _refusals.forget()
    _introspections.forget()


def bound_refusals(lines: int) -> None:
    """Allow each budget of refusals this many lines in ten seconds and process; 0 allows every line."""
    _refusals.lines = _introspections.lines = lines


def is_audited() -> bool:
    """Return True if audit lines go somewhere: to a file, or to the application's own logging."""
    return log.isEnabledFor(logging.INFO) and log.hasHandlers()


def _only_handler() -> LineHandler | None:
    """Return the handler that alone gets every line, unfiltered; None if the logger must see to the lines."""
    handlers = log.handlers
    if len(handlers) != 1 or log.propagate or log.filters or not log.isEnabledFor(logging.INFO):
        return None
    [only] = handlers
    return only if isinstance(only, LineHandler) and not only.filters and only.level <= logging.INFO else None


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
    return _second(int(moment))


@lru_cache(maxsize=8)
def _second(second: int) -> Utc:
    return Utc(datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z"))


_refusals = RefusalLines(_write_or_log)
_introspections = RefusalLines(_write_or_log, summary="introspections.omitted")
atexit.register(flush_refusals)
os.register_at_fork(after_in_child=forget_refusals)
