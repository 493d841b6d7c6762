"""The seconds for which a follower lets the service wait with its answer, and its pauses after failures."""

import logging
import random
from collections.abc import Callable

log = logging.getLogger("macaroon_cbat.resource")

LONGEST_WAIT = 30
"""Seconds that one request waits for a revocation at most; a stopping embedded server ends the wait."""

CUT_SECONDS = 600.0
"""Seconds for which waits stay shorter than those that a proxy has cut."""

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
"""Seconds before the service is asked again after a failure; they double with each one in a row.

Each pause is drawn from a half to the whole of it: many followers that fail at one moment must not all come
back at one.
"""

SHORTEST_STREAM = 4
"""The least seconds of silence with which a stream is asked for: the service looks once a second."""

SILENT_SECONDS = 10.0
"""Seconds without streams after one that gave no line: the service may have been busy."""

SILENT_FACTOR = 6
"""The factor of these seconds for each further stream in a row: a proxy may keep all lines back."""

LONGEST_SILENT_SECONDS = 3600.0

_LONGEST_MOMENT = 10.0
_SAME_SECONDS = 1.0
_KEPT_PART = 0.8


class Waits:
    """The waits of one follower: long, but well within its staleness, and shorter than a proxy's patience."""

    def __init__(
        self,
        max_staleness: float,
        monotonic: Callable[[], float],
        spread: Callable[[], float] = random.random,
    ) -> None:
        """Let no wait take more than half of what is left of these seconds of staleness.

        `spread` draws from 0 to 1 how much is kept of the second half of a pause.
        """
        self._max_staleness, self._monotonic, self._spread = max_staleness, monotonic, spread
        self._cut_after: float | None = None
        self._shorter, self._shorter_until = float(LONGEST_WAIT), 0.0
        self._silent, self._streams_from = 0, 0.0

    def seconds(self, age: float) -> int:
        """Return the whole seconds to wait next, at this age of what is known."""
        longest = self._shorter if self._monotonic() < self._shorter_until else LONGEST_WAIT
        return int(max(0.0, min(longest, (self._max_staleness - age) / 2)))

    def pause(self, failures: int) -> float:
        """Return the seconds of pause after so many failures in a row."""
        longest: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failures - 1, 8))
        return longest * (1 + self._spread()) / 2

    def moment(self, within: int) -> float:
        """Return the seconds until the next request, which the service wants within so many.

        The first tenth is for the service to give the same page to the others.
        """
        return (0.1 + 0.9 * self._spread()) * min(within, _LONGEST_MOMENT, self._max_staleness / 4)

    def may_stream(self, wait: int) -> bool:
        """Return True if a stream may be asked for, with this wait."""
        return wait >= SHORTEST_STREAM and self._monotonic() >= self._streams_from

    def streamed(self) -> None:
        """Learn that a stream gave a line."""
        self._silent = 0

    def silent(self) -> None:
        """Learn that a stream gave no line in time: the service is asked without one for a while."""
        self._silent += 1
        if self._silent == 2:
            log.warning(
                "no stream of revocations comes through: they are asked for one after the other; let no "
                "proxy before the service keep its answers back (proxy_buffering off)"
            )
        pause = SILENT_SECONDS * SILENT_FACTOR ** min(self._silent - 1, 4)
        self._streams_from = self._monotonic() + min(pause, LONGEST_SILENT_SECONDS)

    def cut(self, lasted: float) -> None:
        """Learn that a wait failed after so many seconds.

        A service that restarts cuts one wait; a proxy cuts each after the same time. So two alike shorten
        those that follow.
        """
        before, self._cut_after = self._cut_after, lasted
        if lasted < _SAME_SECONDS or before is None or abs(before - lasted) > _SAME_SECONDS:
            return
        self._cut_after = None
        self._shorter = max(1.0, lasted * _KEPT_PART)
        self._shorter_until = self._monotonic() + CUT_SECONDS
        log.info(
            "the waits for revocations were cut after %.0f s, as by a proxy: they take at most %d s now",
            lasted,
            self._shorter,
        )
