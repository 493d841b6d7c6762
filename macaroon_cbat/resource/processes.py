"""What feeds need where servers fork: locks that no other process holds."""

import os
from threading import Lock


class ProcessLock:
    """A lock of each process: a forked child finds its own one open, whoever holds the parent's."""

    __slots__ = ("_owned",)

    def __init__(self) -> None:
        self._owned = os.getpid(), Lock()

    def current(self) -> Lock:
        """Return the lock of this process."""
        process, lock = self._owned
        if process != os.getpid():
            lock = Lock()
            self._owned = os.getpid(), lock
        return lock
