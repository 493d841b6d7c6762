"""The queue of the writers of one process: threads write in the order in which they came."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock


class WriteQueue:
    """A lock that is fair: the thread that has waited longest is next.

    SQLite itself lets the thread write that retries at the right moment, and may starve the others.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        abandon: Callable[[], None] | None = None,
    ) -> None:
        """Make a free lock. Deadlines are on the clock `monotonic`, in seconds.

        `abandon` ends the turn, in place of `pass_on`, of a thread that was interrupted as its turn came.
        """
        self._monotonic = monotonic
        self._abandon = abandon or self.pass_on
        self._lock = Lock()
        self._is_taken = False
        self._waiting: deque[Lock] = deque()

    @property
    def waiting(self) -> int:
        """The number of threads that wait for their turn."""
        return len(self._waiting)

    @contextmanager
    def turn(self, seconds: float) -> Iterator[float]:
        """Wait for the turn, and yield the seconds that are left. Raises TimeoutError if none are."""
        left = self.take(seconds)
        try:
            yield left
        finally:
            self.pass_on()

    def take(self, seconds: float) -> float:
        """Wait for the turn, and return the seconds that are left. Raises TimeoutError if none are.

        The thread must end its turn by `pass_on` or a successful `hand_over`.
        """
        ends_at = self._monotonic() + seconds
        if not self._take(seconds):
            raise TimeoutError(f"other writers took {seconds:.0f} s and more")
        return max(0.0, ends_at - self._monotonic())

    def hand_over(self) -> bool:
        """Give the turn to the thread that has waited longest; return False, and keep it, if none waits."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
                return True
            return False

    def pass_on(self) -> None:
        """End the turn."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False

    def _take(self, seconds: float) -> bool:
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return True
            mine = Lock()
            mine.acquire()
            self._waiting.append(mine)
        try:
            if mine.acquire(timeout=seconds):
                return True
        except BaseException:  # a signal, or a greenlet's timeout, must not take the turn of others with it
            if not self._leaves(mine):
                self._abandon()
            raise
        return not self._leaves(mine)  # else the turn came between the timeout and the lock

    def _leaves(self, mine: Lock) -> bool:
        """Leave the line; return False if the turn has come already."""
        with self._lock:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return True
            return False
