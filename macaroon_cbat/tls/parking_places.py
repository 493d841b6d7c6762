"""The connections of one process that may wait for events of its application, and those kept for others."""

import threading
import time
from collections import Counter

from macaroon_cbat.tls.overload import Warnings

_PART = 16
_MOST_KEPT = 256
"""The connections kept for others: a sixteenth, and no more than so many.

A parked response keeps its connection, so no newcomer gets its place. If all waited, not one would be served.
"""


class ParkingPlaces:
    """A count of parked responses. Threads take places and the loop gives them back; safe for both."""

    __slots__ = ("_limit", "_lock", "_of_holders", "_taken", "_warnings")

    def __init__(self) -> None:
        """Have places without end until `allow`."""
        self._lock = threading.Lock()
        self._taken = 0
        self._of_holders = Counter[str]()
        self._limit: int | None = None
        self._warnings = Warnings(time.monotonic)

    def allow(self, connections: int) -> None:
        """Keep a part of so many connections for others."""
        self._limit = connections - min(connections // _PART, _MOST_KEPT)

    def take(self, holder: str = "") -> bool:
        """Return False if no place is left, or if this holder, unless it has no name, has half of them."""
        with self._lock:
            limit = self._limit
            has_half = bool(holder) and limit is not None and self._of_holders[holder] >= (limit + 1) // 2
            if limit is None or (self._taken < limit and not has_half):
                self._taken += 1
                self._of_holders[holder] += 1
                return True
            waiting = self._of_holders[holder] if has_half else limit
        whose = f" of {holder!r}" if has_half else ""
        self._warnings.warn(
            "%d responses%s wait for events, as many as may: answering others at once", waiting, whose
        )
        return False

    def give(self, holder: str = "") -> None:
        """Give a place of this holder back."""
        with self._lock:
            self._taken -= 1
            self._of_holders[holder] -= 1
            if not self._of_holders[holder]:
                del self._of_holders[holder]

    def __len__(self) -> int:
        """Return the number of places that are taken."""
        return self._taken
