"""The part of a response that its reader has not taken yet, in memory or in a file of the application."""

import threading
from collections import deque
from typing import Any

from macaroon_cbat.tls.file_body import FileBody

_SMALL_BYTES = 1 << 12
_GLUED_BYTES = 1 << 16
"""Small pieces are glued together: each alone would take up many times its length."""


class Backlog:
    """The bytes of all responses that one process keeps for its readers.

    Threads add and wait while it is full, the loop takes; safe for both.
    """

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


class UnsentBytes:
    """A queue of bytes, counted in the backlog of its process. Not safe for threads: its exchange locks."""

    __slots__ = ("_backlog", "_offset", "_parts", "waiting_bytes")

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._parts: deque[Any] = deque()
        self._offset = 0
        self.waiting_bytes = 0
        """The bytes in memory: a file, however long, takes up none."""

    def append(self, data: Any) -> None:
        """Queue bytes, or a file."""
        if isinstance(data, FileBody):
            self._parts.append(data)
            return
        self._count(len(data))
        if len(data) > _SMALL_BYTES:
            # In slices, for what was sent of one piece would stay in memory until all of it is.
            self._parts.extend(data[at : at + _GLUED_BYTES] for at in range(0, len(data), _GLUED_BYTES))
            return
        last = self._parts[-1] if self._parts else None
        if isinstance(last, bytearray) and len(last) < _GLUED_BYTES:
            last += data
        else:
            self._parts.append(bytearray(data))

    def take(self, size: int) -> bytes:
        """Remove and return up to so many bytes; nothing when none wait.

        Raises OSError for a file that cannot be read, or has become shorter than it was when it was queued.
        """
        while self._parts:
            part = self._parts[0]
            if isinstance(part, FileBody):
                data = part.take(size)
                is_taken = not len(part)
            else:
                data = bytes(memoryview(part)[self._offset : self._offset + size])
                self._offset += len(data)
                self._count(-len(data))
                is_taken = self._offset == len(part)
            if is_taken:
                self._drop_first()
            if data:
                return data
        return b""

    def clear(self) -> None:
        """Forget everything and close files."""
        while self._parts:
            self._drop_first()
        self._count(-self.waiting_bytes)

    def _count(self, size: int) -> None:
        self.waiting_bytes += size
        self._backlog.add(size)

    def _drop_first(self) -> None:
        part = self._parts.popleft()
        self._offset = 0
        if isinstance(part, FileBody):
            part.close()
