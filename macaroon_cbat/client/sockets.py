"""Connected sockets under an HTTPS exchange, and the time that the exchange has left."""

import socket
import time
from collections.abc import Callable


class Deadline:
    """The time of one exchange, from now on: `wait` seconds for each part, `longest` seconds for all."""

    def __init__(self, wait: float, longest: float) -> None:
        self._wait = wait
        self._began_at = time.monotonic()
        self._ends_at = self._began_at + longest

    def spent(self) -> float:
        """Return the seconds since the exchange began."""
        return time.monotonic() - self._began_at

    def left(self) -> float:
        """Return the seconds to wait for the next part, or raise TimeoutError."""
        left = min(self._wait, self._ends_at - time.monotonic())
        if left <= 0:
            raise TimeoutError("it took too long")
        return left


Dial = Callable[[str, int, Deadline], socket.socket]
"""Returns a TCP connection to a host and port, or raises OSError."""


def connected(
    host: str, port: int, deadline: Deadline, *, admits: Callable[[str, str], None] | None = None
) -> socket.socket:
    """Return a TCP connection to the first address that answers in time, or raise OSError.

    `admits` is called with the host and each address before the connection, and raises OSError for an
    address that must not be reached.
    """
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        raw = socket.socket(family, kind, protocol)
        try:
            if admits is not None:
                admits(host, str(address[0]))
            raw.settimeout(deadline.left())
            raw.connect(address)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raw.close()
            failure = error
        else:
            return raw
    raise failure
