"""The accepting half of a server: a few connections a turn, within the limit, and a place for newcomers."""

import errno
import socket
from collections.abc import Sequence

from macaroon_cbat.tls.host import Host

_ACCEPTS_A_TURN = 4  # a flood of handshakes must leave turns to the clients that are served
_QUEUE_TURNS = 1024  # times _ACCEPTS_A_TURN: all of the kernel's queue when the server stops
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})  # a drop frees some


class Acceptor:
    """Listening sockets that are watched while there is room for a newcomer."""

    def __init__(self, listeners: Sequence[socket.socket], host: Host) -> None:
        """Accept for this server."""
        self._listeners, self._host = listeners, host
        self._is_accepting = self._is_over = self._is_giving_way = False

    def resume(self) -> None:
        """Accept again, if there is room."""
        host = self._host
        if self._is_accepting or self._is_over or self._is_giving_way:
            return
        is_full = len(host.connections) >= host.limits.connections
        if is_full and host.rooms.evictable(host.now()) is None:
            return
        self._is_accepting = True
        for listener in self._listeners:
            host.events.add_reader(listener, self._on_readable, listener)

    def pause(self) -> None:
        """Leave newcomers in the kernel's queue."""
        if self._is_accepting:
            self._is_accepting = False
            for listener in self._listeners:
                self._host.events.remove_reader(listener)

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
        if pause := self._host.turns.take_owed(self._host.now()):
            self.pause()
            self._is_giving_way = True
            self._host.events.call_later(pause, self._go_on)

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
            self._host.welcome(sock, address)
            if not has_room:
                # This one is served beyond the limit; the next wait in the kernel's queue.
                self.pause()
                return False
        return True

    def _make_room(self) -> bool:
        while len(self._host.connections) >= self._host.limits.connections:
            if not self._evict("connections"):
                return False
        return True

    def _evict(self, what: str) -> bool:
        """Drop the client that the server has waited for longest; return False if all are being served."""
        count = len(self._host.connections)
        self._host.warnings.warn("no more %s (%d connections): dropping the slowest", what, count)
        connection = self._host.rooms.evictable(self._host.now())
        if connection is None:
            return False
        connection.drop()
        return True
