"""The bound of audit lines about refusals: a number in ten seconds, then one line that counts the rest."""

import threading
import time
from collections import Counter
from collections.abc import Callable

from macaroon_cbat.audit.event import AuditEvent, EventKind, Utc

DEFAULT_LINES, SECONDS = 50, 10.0
"""The lines of one budget in this many seconds: 250 MB a day at most under a permanent flood."""

_OF_ONE_TOKEN = 5
"""The budget of a token is a fifth of its client's, so that one token hides no use of another."""

_NAMED, _ACTIVE = 10, 200
"""The lines of all clients, and of all active tokens, in budgets; this bounds the memory, too."""

_Budget = tuple[tuple[str | None, ...], int]


def is_bounded(event: AuditEvent) -> bool:
    """Return True for an event that a client without any right can cause at will."""
    return event.event in _REFUSALS


def is_active(event: AuditEvent) -> bool:
    """Return True for an introspection of an active token, which is no refusal and may be as frequent."""
    return event.active is True


_REFUSALS: frozenset[EventKind] = frozenset(
    {
        *("token.refused", "login.refused", "request.refused", "admission.refused", "token.introspected"),
        *("rate.limited", "client.locked"),
    }
)


def budgets_of(event: AuditEvent, lines: int) -> tuple[_Budget, ...]:
    """Return the budgets that a line about this event takes from, and the size of each.

    A refusal of an authentic token or an authenticated client has other budgets than an attacker without
    either can use up. No text of an attacker is part of a budget's name.
    """
    kind, token = event.event, event.token_id
    each = max(1, lines // _OF_ONE_TOKEN)
    if event.active:
        return ((kind, "active"), _ACTIVE * lines), ((kind, event.who, token), each)
    # A resource server that introspects a forged token has not forged it.
    client = event.client_id if kind == "token.introspected" else event.who
    if client is None and token is None:
        return (((kind, "denied" if event.status in (401, 403) else "malformed"), lines),)
    named, own = ((kind, "named"), _NAMED * lines), ((kind, event.error, "client", client), lines)
    return (named, own) if token is None else (named, own, ((kind, event.error, "token", token), each))


class RefusalLines:
    """A counter of refusals by budget, kind and error. Safe for threads, forks and processes that end."""

    def __init__(
        self,
        write: Callable[[AuditEvent], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        summary: EventKind = "refusals.omitted",
        is_timed: bool = True,
    ) -> None:
        """Write summaries by `write`; without a timer, only with the next refusal or at the end."""
        self.lines = DEFAULT_LINES
        self._kind: EventKind = summary
        self._write, self._clock, self._is_timed = write, clock, is_timed
        self.forget()

    def forget(self) -> None:
        """Begin again: the parent of a forked child counts its own omissions."""
        self._lock = threading.Lock()
        self._since = float("-inf")
        self._seen: dict[tuple[str | None, ...], int] = {}
        self._omitted: Counter[str] = Counter()
        self._first = self._last = Utc("")
        self._timer: threading.Timer | None = None

    @property
    def budgets(self) -> int:
        """The number of budgets in memory: those that refusals of these ten seconds have taken from."""
        return len(self._seen)

    def admits(self, event: AuditEvent) -> bool:
        """Return True if the event is to be written; count it otherwise."""
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
        """Write the number of omitted lines: when the flood has ended, and when the process ends."""
        with self._lock:
            summary = self._summary()
        if summary is not None:
            self._write(summary)

    def _takes(self, event: AuditEvent) -> bool:
        """Take from every budget of the event, if each has something left."""
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
        """Return the line about omitted lines, if there are any, and forget them."""
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
    """Return the kind of the event and its outcome; no client wrote either."""
    if event.active is not None:
        return f"{event.event} {'active' if event.active else 'inactive'}"
    return f"{event.event} {event.error or 'missing_token'}"
