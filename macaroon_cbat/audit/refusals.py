"""The bound of audit lines about refusals: so many in a while, then one that counts the rest."""

import threading
import time
from collections import Counter
from collections.abc import Callable

from macaroon_cbat.audit.event import AuditEvent, EventKind, Utc

DEFAULT_LINES, SECONDS = 50, 10.0
"""The lines of one budget in so many seconds: 250 MB a day at most, however long the flood."""

_OF_ONE_TOKEN = 5
"""A budget of a token is the fifth part of a client's, so that no token hides what is done with another."""

_NAMED, _ACTIVE = 10, 200
"""Lines of all clients, and of all active tokens, as multiples of one budget: they bound the memory, too."""

_Budget = tuple[tuple[str | None, ...], int]


def is_bounded(event: AuditEvent) -> bool:
    """Return True for an event that a client without any right can cause at will; others are deeds."""
    return event.event in _REFUSALS


def is_active(event: AuditEvent) -> bool:
    """Return True for an introspection of an active token, which is no refusal and may repeat as often."""
    return event.active is True


_REFUSALS: frozenset[EventKind] = frozenset(
    {"token.refused", "request.refused", "admission.refused", "token.introspected"}
)


def budgets_of(event: AuditEvent, lines: int) -> tuple[_Budget, ...]:
    """Return the budgets that a line about this event takes from, and how many lines each one has.

    A refusal about an authentic token or an authenticated client has other budgets than those that an
    attacker without either can use up. Nothing that an attacker wrote is part of a budget's name.
    """
    kind, token = event.event, event.token_id
    each = max(1, lines // _OF_ONE_TOKEN)
    if event.active:
        return ((kind, "active"), _ACTIVE * lines), ((kind, event.who, token), each)
    # A resource server that asks about a forged token has not forged it.
    client = event.client_id if kind == "token.introspected" else event.who
    if client is None and token is None:
        return (((kind, "denied" if event.status in (401, 403) else "malformed"), lines),)
    named, own = ((kind, "named"), _NAMED * lines), ((kind, event.error, "client", client), lines)
    return (named, own) if token is None else (named, own, ((kind, event.error, "token", token), each))


class RefusalLines:
    """Counts refusals by budget, kind and error. Safe for threads, forks and processes that end."""

    def __init__(
        self,
        write: Callable[[AuditEvent], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        summary: EventKind = "refusals.omitted",
        is_timed: bool = True,
    ) -> None:
        """Write summaries by `write`; unless timed, only with the next refusal or at the end."""
        self.lines = DEFAULT_LINES
        self._kind: EventKind = summary
        self._write, self._clock, self._is_timed = write, clock, is_timed
        self.forget()

    def forget(self) -> None:
        """Start anew: what the parent has left out, the parent says."""
        self._lock = threading.Lock()
        self._since = float("-inf")
        self._seen: dict[tuple[str | None, ...], int] = {}
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
            admitted = not self.lines or self._takes(event)
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

    def _takes(self, event: AuditEvent) -> bool:
        """Take from every budget of the event if each has something left; what is full grows no more."""
        budgets, seen = budgets_of(event, self.lines), self._seen
        for name, lines in budgets:
            if seen.get(name, 0) >= lines:
                return False
        for name, _ in budgets:
            seen[name] = seen.get(name, 0) + 1
        return True

    def _omit(self, event: AuditEvent) -> None:
        if not self._omitted:
            self._first = event.at
            if self._is_timed:
                self._timer = threading.Timer(SECONDS, self.flush)
                self._timer.daemon = True
                self._timer.start()
        self._last = event.at
        self._omitted[_word(event)] += 1

    def _summary(self) -> AuditEvent | None:
        """Return the line about what was left out, if anything was, and forget it."""
        if not self._omitted:
            return None
        if self._timer is not None:
            self._timer.cancel()
        omitted, self._omitted = self._omitted, Counter()
        return AuditEvent(
            at=self._last,
            event=self._kind,
            since=self._first,
            count=omitted.total(),
            counts=dict(sorted(omitted.items())),
        )


def _word(event: AuditEvent) -> str:
    """Return the kind of the event and how it ended, both words of ours."""
    if event.active is not None:
        return f"{event.event} {'active' if event.active else 'inactive'}"
    return f"{event.event} {event.error or 'missing_token'}"
