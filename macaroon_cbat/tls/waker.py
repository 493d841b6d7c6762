"""The socket pair by which threads and signal handlers wake the selector of a loop."""

import socket
from contextlib import suppress


class Waker:
    """A pair of sockets: the loop selects on one end, and anything else writes to the other."""

    __slots__ = ("_sending", "receiving")

    def __init__(self) -> None:
        self._sending, self.receiving = socket.socketpair()
        # Neither end may block: a signal handler writes while the loop may not be reading.
        self._sending.setblocking(False)
        self.receiving.setblocking(False)

    def wake(self) -> None:
        """Let the selector return; safe in a signal handler."""
        # A full pair means that the loop is awake already, a closed one that it has ended.
        with suppress(OSError):
            self._sending.send(b"x")

    def on_readable(self, _events: int) -> None:
        """Forget how often the loop was woken: once awake, it looks at everything."""
        with suppress(BlockingIOError):
            self.receiving.recv(4096)

    def close(self) -> None:
        """Close both ends."""
        self._sending.close()
        self.receiving.close()
