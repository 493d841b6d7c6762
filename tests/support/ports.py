"""Ports of loopback for servers that must be told theirs before they start."""

import os
import socket
from itertools import count

_EACH = 1000
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_numbers = count(os.getpid() * 37)
"""Begun apart, so that tests that run at once in two folders do not try the same ports."""


def free_port() -> int:
    """Return a port that no process listens on, and that no other process gets before the server.

    It lies below the ports that the kernel gives to connections and to port 0, and in a range of this
    worker of the tests: a server that is killed and starts again finds its port free.
    """
    while True:
        port = 10_000 + _EACH * (_WORKER % 20) + next(_numbers) % _EACH
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
