"""The bound of audit lines about refusals: so many in a while, then one that counts the rest."""

import threading
import time
from collections import Counter
from collections.abc import Callable

from macaroon_cbat.audit import AuditEvent, EventKind, Utc

REFUSALS: frozenset[EventKind] = frozenset({"token.refused", "request.refused", "admission.refused"})
"""Events that any client can cause at will. Every other event is a deed and always written."""

DEFAULT_LINES, SECONDS = 50, 10.0
"""So many lines of each kind in so many seconds: at most 250 MB a day and kind, however long the flood."""


class RefusalLines:
    """Counts refusals by kind and error. Safe for threads, forks and processes that end."""

    def __init__(
        self,
        write: Callable[[AuditEvent], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        is_timed: bool = True,
    ) -> None:
        """Write summaries by `write`; unless timed, only with the next refusal or at the end."""
        self.lines = DEFAULT_LINES
        self._write, self._clock, self._is_timed = write, clock, is_timed
        self.forget()

    def forget(self) -> None:
        """Start anew: what the parent has left out, the parent says."""
        self._lock = threading.Lock()
        self._since = float("-inf")
        self._seen: Counter[str] = Counter()
        self._omitted: Counter[str] = Counter()
        self._first = self._last = Utc("")
        self._timer: threading.Timer | None = None

    def admits(self, event: AuditEvent) -> bool:
        """Return whether the event is to be written; one that is not is counted."""
        with self._lock:
            now = self._clock()
            is_new_time = now - self._since >= SECONDS
            summary = self._summary() if is_new_time else None
            if is_new_time:
                self._since = now
                self._seen.clear()
            self._seen[event.event] += 1
            admitted = not self.lines or self._seen[event.event] <= self.lines
            if not admitted:
                self._omit(event)
        if summary is not None:
            self._write(summary)
        return admitted

    def flush(self) -> None:
        """Write what was left out so far: when the flood has ended, and when the process ends."""
        with self._lock:
            summary = self._summary()
        if summary is not None:
            self._write(summary)

    def _omit(self, event: AuditEvent) -> None:
        if not self._omitted:
            self._first = event.at
            if self._is_timed:
                self._timer = threading.Timer(SECONDS, self.flush)
                self._timer.daemon = True
                self._timer.start()
        self._last = event.at
        self._omitted[f"{event.event} {event.error or 'missing_token'}"] += 1

    def _summary(self) -> AuditEvent | None:
        """Return the line about what was left out, if anything was, and forget it."""
        if not self._omitted:
            return None
        if self._timer is not None:
            self._timer.cancel()
        omitted, self._omitted = self._omitted, Counter()
        return AuditEvent(
            at=self._last,
            event="refusals.omitted",
            since=self._first,
            count=omitted.total(),
            counts=dict(sorted(omitted.items())),
        )
