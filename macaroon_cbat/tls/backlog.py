"""The parts of responses that one process keeps in memory for their readers."""

import threading


class Backlog:
    """A count of bytes. Threads add and wait while it is full, the loop takes; safe for both."""

    __slots__ = ("_lock", "held_bytes", "limit")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.held_bytes = 0
        self.limit = 1 << 27

    def allow(self, unread_bytes: int) -> None:
        """Set a limit a quarter above `unread_bytes`, at which slow readers are dropped already."""
        self.limit = unread_bytes + unread_bytes // 4

    def add(self, size: int) -> None:
        """Count so many bytes more, or fewer."""
        with self._lock:
            self.held_bytes += size

    def is_full(self) -> bool:
        """Return True if a thread should wait before it makes more."""
        return self.held_bytes > self.limit
