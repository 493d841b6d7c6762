"""The threads of a process that wait for other servers: a part, so that others mint tokens meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from threading import BoundedSemaphore, Lock, Semaphore

from macaroon_cbat.files.process_values import PerProcess


class WaitingThreads:
    """A bound on them, whichever servers they wait for. Thread-safe, and safe to fork."""

    def __init__(self, most: int, whole: "WaitingThreads | None" = None) -> None:
        """Let so many threads wait at a time, and one in any case; each is one of the `whole`, too."""
        self._places = PerProcess(partial(BoundedSemaphore, max(1, most)))
        self._whole = whole

    def part(self, most: int) -> "WaitingThreads":
        """Return a bound of this number on some of these threads."""
        return WaitingThreads(most, self)

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Yield True if this thread may wait in the block, and False at once if too many others do."""
        places = self._places.current()
        if not places.acquire(blocking=False):
            yield False
            return
        try:
            with nullcontext(True) if self._whole is None else self._whole.place() as may_wait:
                yield may_wait
        finally:
            places.release()

    def acquire(self, lock: "Lock | Semaphore", seconds: float) -> bool:
        """Return True with the lock held, or False if it is not free in time or this thread may not wait."""
        if lock.acquire(blocking=False):
            return True
        if seconds <= 0:
            return False
        with self.place() as may_wait:
            return may_wait and lock.acquire(timeout=seconds)
