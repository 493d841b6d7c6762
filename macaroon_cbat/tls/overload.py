"""The signs of overload: warnings that do not become a flood, and the time that handshakes take."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger("macaroon_cbat.tls")

_WARNING_SECONDS = 10.0  # a flood of clients must not become a flood of lines
_SHARE = 2
"""Times as long as for handshakes, the loop is there for those who are served."""
_LONGEST_PAUSE = 0.1
_BUSY_SECONDS = 0.1
"""The time after the last request for which newcomers wait for others."""


class Warnings:
    """Log lines about overload, one in so many seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._next = now, 0.0

    def warn(self, text: str, *values: object) -> None:
        """Log the line, unless there was one a moment ago."""
        if self._now() >= self._next:
            self._next = self._now() + _WARNING_SECONDS
            log.warning(text, *values)


class Turns:
    """The time that handshakes have taken, of which those who are served get twice as much.

    Thousands of clients that return at once, after a restart, would take all of it.
    """

    __slots__ = ("_owed", "_served_at")

    def __init__(self) -> None:
        self._owed, self._served_at = 0.0, 0.0

    @contextmanager
    def handshake(self) -> Iterator[None]:
        """Count the time of the block, which is one step of a handshake."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._owed += time.perf_counter() - began

    def serve(self, now: float) -> None:
        """Note that a request has come."""
        self._served_at = now

    def take_owed(self, now: float) -> float:
        """Return for how many seconds newcomers shall wait: for none, unless there are requests."""
        owed, self._owed = self._owed, 0.0
        return min(_SHARE * owed, _LONGEST_PAUSE) if now - self._served_at < _BUSY_SECONDS else 0.0
