"""The queue of writers: the threads of one process that want to write go in the order in which they came."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock


class WriteQueue:
    """Lets one thread at a time pass, whoever has waited longest first.

    SQLite itself lets whoever looks at the right moment write, and may keep others waiting for ever.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Let the first one pass."""
        self._monotonic = monotonic
        self._lock = Lock()
        self._is_taken = False
        self._waiting: deque[Lock] = deque()

    @property
    def waiting(self) -> int:
        """The number of threads that wait for their turn."""
        return len(self._waiting)

    @contextmanager
    def turn(self, seconds: float) -> Iterator[float]:
        """Wait for the turn and give the seconds that are left of these, or raise TimeoutError."""
        ends_at = self._monotonic() + seconds
        if not self._take(seconds):
            raise TimeoutError(f"other writers took {seconds:.0f} s and more")
        try:
            yield max(0.0, ends_at - self._monotonic())
        finally:
            self._pass_on()

    def _take(self, seconds: float) -> bool:
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return True
            mine = Lock()
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=seconds):
            return True
        with self._lock:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return False
        return True  # it was passed on at the last moment

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False
