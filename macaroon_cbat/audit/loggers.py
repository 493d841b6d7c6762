"""The loggers of this package, in which a client can neither forge lines nor flood others."""

import logging
import os
import threading
import time
import traceback
from collections.abc import Callable

from macaroon_cbat.files.notices import forget_notices
from macaroon_cbat.text.printable import printable

LOGGERS = ("audit_log", "client", "files", "gateway", "metrics", "resource", "service", "stores", "tls")
"""The loggers below `macaroon_cbat`, except `audit`, whose lines are JSON with a bound of their own."""

LINES, SECONDS = 20, 10.0
"""The most lines of one kind, which is one call in the source, in this many seconds."""

_KINDS = 200
_INDENT = "    "


class LogLines(logging.Filter):
    """A filter that makes each record one printable line, and leaves out records that come too often."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Begin again, with a new lock: after a fork a thread of the parent may hold the old one."""
        self._lock = threading.RLock()  # a signal handler may log, too
        self._since = float("-inf")
        self._seen: dict[str, int] = {}
        self._omitted: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a record that is left out."""
        # "%s" tells no kind: a client may cause one such line at will, and another comes once in a process.
        kind = f"{record.pathname}:{record.lineno}" if record.msg == "%s" else str(record.msg)
        with self._lock:
            remark = self._remark(kind)
        if remark is None:
            return False
        text = printable(record.getMessage()) + remark
        record.msg, record.args = text, None
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = indented("".join(traceback.format_exception(record.exc_info[1])))
        return True

    def _remark(self, kind: str) -> str | None:
        """Return the remark that ends a line of this kind, or None if the line is left out."""
        now = self._clock()
        if now - self._since >= SECONDS:
            self._since = now
            self._seen.clear()
        if kind not in self._seen and len(self._seen) >= _KINDS:
            kind = ""  # a message that was formatted before it came here: all of these are one kind
        seen = self._seen[kind] = self._seen.get(kind, 0) + 1
        if seen > LINES:
            self._omitted[kind] = self._omitted.get(kind, 0) + 1
            return None
        before = self._omitted.pop(kind, 0)
        remark = f" ({before} more like this were left out before)" if before else ""
        return remark + (f" (more like this are left out for {SECONDS:.0f} s)" if seen == LINES else "")


def indented(text: str) -> str:
    """Return a traceback with each line indented and printable: text in it cannot begin a line of the log."""
    return "\n".join(_INDENT + printable(line) for line in text.rstrip("\n").split("\n"))


def guard_logs() -> None:
    """Put the filter on each logger of this package: a filter of their parent would not see their records."""
    for name in LOGGERS:
        log = logging.getLogger(f"macaroon_cbat.{name}")
        if not any(isinstance(one, LogLines) for one in log.filters):
            lines = LogLines()
            log.addFilter(lines)
            os.register_at_fork(after_in_child=lines.forget)


def forget_floods() -> None:
    """Begin again, as a fresh process does."""
    forget_notices()
    for name in LOGGERS:
        for one in logging.getLogger(f"macaroon_cbat.{name}").filters:
            if isinstance(one, LogLines):
                one.forget()
