"""Counters of attempts within a window of time, and those in the memory of one process."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, Protocol

from macaroon_cbat.files.process_values import ProcessLock

MOST_REMEMBERED = 20_000
"""Counters in memory. An attacker makes new ones: the oldest give way, or they would fill the memory."""


class Count(NamedTuple):
    """The attempts in a window, and the whole seconds until it ends; none of either without a window."""

    attempts: int = 0
    ends_in: int = 0


class Counters(Protocol):
    """Counters by name. Each begins a window with its first attempt, and forgets at its end."""

    def add(self, name: str, seconds: int) -> Count:
        """Count an attempt, in a window of so many seconds if none has begun."""

    def look(self, name: str) -> Count:
        """Return the count as it is."""

    def forget(self) -> None:
        """Forget what this process remembers by itself."""


class MemoryCounters:
    """Counters of this process alone. Thread-safe; a forked child begins with a copy."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Measure windows by this clock, in seconds."""
        self._monotonic = monotonic
        self._counted: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = ProcessLock()

    def add(self, name: str, seconds: int) -> Count:
        """Count an attempt, in a window of so many seconds if none has begun."""
        now = self._monotonic()
        with self._lock.current():
            attempts, ends = self._counted.get(name, (0, 0.0))
            if ends <= now:
                attempts, ends = 0, now + seconds
                self._counted.pop(name, None)  # the window is new, so its counter gives way last
            self._counted[name] = (attempts + 1, ends)
            if len(self._counted) > MOST_REMEMBERED:
                self._counted.popitem(last=False)
        return Count(attempts + 1, math.ceil(ends - now))

    def look(self, name: str) -> Count:
        """Return the count as it is."""
        found = self._counted.get(name)
        if found is None or found[1] <= (now := self._monotonic()):
            return Count()
        return Count(found[0], math.ceil(found[1] - now))

    def forget(self) -> None:
        """Forget every count."""
        self._counted.clear()
