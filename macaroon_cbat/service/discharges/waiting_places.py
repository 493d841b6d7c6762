"""The places of a process in which requests wait for a person: few, and none that an attacker can keep.

Anyone may begin to wait. If all places are taken, a newcomer gets one: that of the address with the most, or
the one that has waited longest. The client that lost it is led to wait on, as after any wait.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class WaitingPlaces:
    """So many places. Thread-safe."""

    def __init__(self, number: int) -> None:
        """Have this many places."""
        self._number = number
        self._lock = threading.Lock()
        self._taken: dict[threading.Event, str | None] = {}
        """The address of each waiting request, by the event that ends its wait; oldest first."""

    @contextmanager
    def one_for(self, address: str | None) -> Iterator[threading.Event | None]:
        """Lend a place; the event is set when another request gets it. None if there are no places."""
        if self._number <= 0:
            yield None
            return
        place = threading.Event()
        with self._lock:
            if len(self._taken) >= self._number:
                self._end_one(address)
            self._taken[place] = address
        try:
            yield place
        finally:
            with self._lock:
                self._taken.pop(place, None)

    def _end_one(self, newcomer: str | None) -> None:
        held = Counter(self._taken.values())
        held[newcomer] += 1
        ended = max(self._taken, key=lambda place: held[self._taken[place]])  # the oldest of equals
        del self._taken[ended]
        ended.set()
