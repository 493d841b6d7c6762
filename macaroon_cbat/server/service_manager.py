"""The service manager's protocol (sd_notify): a process says that it is ready, reloads, stops or lives.

Without NOTIFY_SOCKET nothing is told. Lines are datagrams, so no call waits, and a signal handler may tell.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SOCKET, _WATCHDOG, _WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
_PINGS = 3
"""Signs of life within the time after which the manager ends a process that gives none."""


def tell(*lines: str) -> None:
    """Send the lines to the service manager, if there is one; a manager that is away changes nothing."""
    name = os.environ.get(_SOCKET, "")
    if not name.startswith(("/", "@")):
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.setblocking(False)
            sock.sendto("\n".join(lines).encode(), address)
        except OSError:
            return


def tell_ready(status: str) -> None:
    """Tell that requests are answered."""
    tell("READY=1", f"STATUS={status}")


def tell_stopping() -> None:
    """Tell that the last requests are being answered."""
    tell("STOPPING=1")


@contextmanager
def telling_of_reload() -> Iterator[None]:
    """Tell that settings and files are read again while the block runs, and that this is done after it."""
    tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
    try:
        yield
    finally:
        tell("READY=1")


class Watchdog:
    """Signs of life, if the service manager has asked this process for them."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Read the environment: a sign is due three times in the time that it names."""
        self._monotonic = monotonic
        text, pid = os.environ.get(_WATCHDOG, ""), os.environ.get(_WATCHDOG_PID, str(os.getpid()))
        is_asked = text.isascii() and text.isdigit() and pid == str(os.getpid())
        self._seconds = int(text) / 1e6 / _PINGS if is_asked and int(text) else None
        self._due_at = 0.0

    def look(self, *, is_alive: bool) -> None:
        """Give a sign if one is due and the process is alive, as its caller judges."""
        now = self._monotonic()
        if self._seconds is not None and is_alive and now >= self._due_at:
            self._due_at = now + self._seconds
            tell("WATCHDOG=1")
