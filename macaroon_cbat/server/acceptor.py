"""The accepting half of a server: a few connections a turn, within the limit, and a place for newcomers."""

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Protocol

from macaroon_cbat.server.limits import Limits
from macaroon_cbat.server.rooms import Rooms

log = logging.getLogger("macaroon_cbat.tls")

_ACCEPTS_A_TURN = 4  # a flood of handshakes must leave turns to the clients that are served
_QUEUE_TURNS = 1024  # times _ACCEPTS_A_TURN: all of the kernel's queue when the server stops
_WARNING_SECONDS = 10.0  # a flood of clients must not become a flood of lines
_SHARE = 2
"""Times as long as for handshakes, the loop is there for those who are served."""
_LONGEST_PAUSE = 0.1
_BUSY_SECONDS = 0.1
"""The time after the last request for which newcomers wait for others."""
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})  # a drop frees some


class Warnings:
    """Log lines about overload, one in so many seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._next = now, 0.0

    def warn(self, text: str, *values: object) -> None:
        """Log the line, unless there was one a moment ago."""
        if self._now() >= self._next:
            self._next = self._now() + _WARNING_SECONDS
            log.warning(text, *values)


class Turns:
    """The time that handshakes have taken, of which those who are served get twice as much.

    Thousands of clients that return at once, after a restart, would take all of it.
    """

    __slots__ = ("_owed", "_served_at")

    def __init__(self) -> None:
        self._owed, self._served_at = 0.0, 0.0

    @contextmanager
    def handshake(self) -> Iterator[None]:
        """Count the time of the block, which is one step of a handshake."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._owed += time.perf_counter() - began

    def serve(self, now: float) -> None:
        """Note that a request has come."""
        self._served_at = now

    def take_owed(self, now: float) -> float:
        """Return for how many seconds newcomers shall wait: for none, unless there are requests."""
        owed, self._owed = self._owed, 0.0
        return min(_SHARE * owed, _LONGEST_PAUSE) if now - self._served_at < _BUSY_SECONDS else 0.0


class Welcoming(Protocol):
    """The server whose connections these are."""

    events: asyncio.AbstractEventLoop
    limits: Limits
    rooms: Rooms
    turns: Turns
    warnings: Warnings

    @property
    def connections(self) -> Sized:
        """All that are open."""

    def now(self) -> float:
        """Return the seconds of its clock."""

    def welcome(self, sock: socket.socket, address: tuple[str, int], /) -> object:
        """Serve this connection."""


class Acceptor:
    """Listening sockets that are watched while there is room for a newcomer."""

    def __init__(self, listeners: Sequence[socket.socket], server: Welcoming) -> None:
        """Accept for this server."""
        self._listeners, self._server = listeners, server
        self._is_accepting = self._is_over = self._is_giving_way = False

    def resume(self) -> None:
        """Accept again, if there is room."""
        server = self._server
        if self._is_accepting or self._is_over or self._is_giving_way:
            return
        if (
            len(server.connections) >= server.limits.connections
            and server.rooms.evictable(server.now()) is None
        ):
            return
        self._is_accepting = True
        for listener in self._listeners:
            server.events.add_reader(listener, self._on_readable, listener)

    def pause(self) -> None:
        """Leave newcomers in the kernel's queue."""
        if self._is_accepting:
            self._is_accepting = False
            for listener in self._listeners:
                self._server.events.remove_reader(listener)

    def end(self) -> None:
        """Accept the last connections and close: a client in the queue believes to be connected."""
        self.pause()
        self._is_over = True
        for listener in self._listeners:
            for _ in range(_QUEUE_TURNS):
                if not self._accept(listener):
                    break
            listener.close()

    def _on_readable(self, listener: socket.socket) -> None:
        if not self._accept(listener):
            return
        if pause := self._server.turns.take_owed(self._server.now()):
            self.pause()
            self._is_giving_way = True
            self._server.events.call_later(pause, self._go_on)

    def _go_on(self) -> None:
        self._is_giving_way = False
        self.resume()

    def _accept(self, listener: socket.socket) -> bool:
        """Accept a few; return False if there are no more, or no room for more."""
        for _ in range(_ACCEPTS_A_TURN):
            try:
                sock, address = listener.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED and not self._evict("open files"):
                    self.pause()
                return False
            # After accept: only now is it certain that a client needs the place of another one.
            has_room = self._make_room()
            sock.setblocking(False)
            self._server.welcome(sock, address)
            if not has_room:
                # This one is served beyond the limit; the next wait in the kernel's queue.
                self.pause()
                return False
        return True

    def _make_room(self) -> bool:
        while len(self._server.connections) >= self._server.limits.connections:
            if not self._evict("connections"):
                return False
        return True

    def _evict(self, what: str) -> bool:
        """Drop the client that the server has waited for longest; return False if all are being served."""
        count = len(self._server.connections)
        self._server.warnings.warn("no more %s (%d connections): dropping the slowest", what, count)
        connection = self._server.rooms.evictable(self._server.now())
        if connection is None:
            return False
        connection.drop()
        return True
