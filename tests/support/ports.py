"""Ports of loopback for servers that must be told theirs before they start."""

import fcntl
import os
import socket
import tempfile
from pathlib import Path

_FIRST, _COUNT = 10_000, 10_000
"""They lie below the ports that the kernel gives to connections and to port 0."""
_COUNTER = Path(tempfile.gettempdir()) / f"macaroon-cbat-tests-{os.getuid()}.port"


def free_port() -> int:
    """Return a port that no process listens on.

    All processes of this user take turns, so that nothing else gets the port before the server has it, and a
    server that is killed and starts again finds it free.
    """
    while True:
        port = _FIRST + _next() % _COUNT
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def _next() -> int:
    with os.fdopen(os.open(_COUNTER, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        number = int(file.read() or 0) + 1
        file.seek(0)
        file.write(f"{number:012}")
        file.truncate()
    return number
