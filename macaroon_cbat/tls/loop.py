"""The event loop of one process: it owns every socket and all TLS, and threads see complete requests alone.

One thread for all TLS needs no lock around a session, and a client that stalls holds no thread. `host` shows
the loop as its connections see it.
"""

import errno
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable

from macaroon_cbat.certificate.address import plain_text
from macaroon_cbat.server.limits import Limits
from macaroon_cbat.tls.connection import Connection
from macaroon_cbat.tls.deadlines import Rooms
from macaroon_cbat.tls.exchange import Exchange
from macaroon_cbat.tls.held_requests import Holdings
from macaroon_cbat.tls.host import ServedConnection
from macaroon_cbat.tls.request import Request
from macaroon_cbat.tls.request_queue import RequestQueue
from macaroon_cbat.tls.server_certificate import ServerCertificate
from macaroon_cbat.tls.waitress import Site
from macaroon_cbat.tls.waker import Waker

log = logging.getLogger("macaroon_cbat.tls")

_TICK_SECONDS = 0.25  # deadlines are whole seconds: a client gains a quarter of one at most
_ACCEPTS_A_TURN = 8  # a flood of handshakes must leave turns to the clients that are served
_QUEUE_TURNS = 128  # times _ACCEPTS_A_TURN: all of the kernel's queue of 1,024 when the server stops
_WARNING_SECONDS = 10.0  # a flood of clients must not become a flood of lines
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})  # a drop frees some


class Loop:
    """The server of one listening socket, until it is stopped."""

    def __init__(
        self,
        listener: socket.socket,
        certificate: ServerCertificate,
        site: Site,
        limits: Limits,
        threads: int,
        *,
        on_end: Callable[[], None],
    ) -> None:
        """Serve the site; call `on_end` after the last request."""
        self.certificate = certificate
        self.site, self.rooms = site, Rooms(limits)
        site.backlog.allow(limits.unread_bytes)
        self.now = time.monotonic()
        self._listener = listener
        self._limits = limits
        self._on_end = on_end
        self._selector = selectors.DefaultSelector()
        self._connections: dict[ServedConnection, None] = {}  # the oldest one first
        bounds = limits.pending_bytes, limits.connections
        self.holdings = Holdings(*bounds, lambda: self._connections, self._warn_of_holdings)
        self._changed: deque[ServedConnection] = deque()
        self._requests = RequestQueue()
        self._threads = [
            threading.Thread(target=self._requests.serve, name=f"request-{n}", daemon=True)
            for n in range(threads)
        ]
        self._waker = Waker()
        self._is_sleeping = False
        self._is_accepting = False
        self._stops = 0
        self._stop_before: float | None = None
        self._next_tick = self.now
        self._next_warning = self.now

    # For other threads and signal handlers

    def post(self, client: ServedConnection) -> None:
        """Have the loop look at the response of this client."""
        # Appended first: a loop that looked at `_changed` before that is marked as sleeping, and is woken.
        self._changed.append(client)
        if self._is_sleeping:
            self._waker.wake()

    def stop(self) -> None:
        """Finish the requests under way and return from `run`; after a second call, return at once."""
        self._stops += 1
        self._waker.wake()

    # For connections

    def submit(self, exchange: Exchange) -> None:
        """Have a thread serve this request."""
        self._requests.put(exchange)

    def withdraw(self, exchange: Exchange) -> None:
        """Have no thread take this request."""
        self._requests.withdraw(exchange)

    def new_request(self) -> Request:
        """Return an empty request within the limits."""
        return Request(self._limits.header_bytes, self._limits.body_bytes)

    def watch(self, sock: socket.socket, old: int, new: int, callback: Callable[[int], None]) -> None:
        """Change the events that the callback is called for."""
        if not old:
            self._selector.register(sock, new, callback)
        elif not new:
            self._selector.unregister(sock)
        else:
            self._selector.modify(sock, new, callback)

    def forget(self, client: ServedConnection) -> None:
        """Leave out a client that is gone."""
        self._connections.pop(client, None)
        self.holdings.forget(client)

    # The loop itself

    def run(self, lifeline: int | None = None) -> None:
        """Serve until stopped, or until the other end of the lifeline pipe is gone."""
        for thread in self._threads:
            thread.start()
        self._selector.register(self._waker.receiving, selectors.EVENT_READ, self._waker.on_readable)
        self._resume_accepting()
        if lifeline is not None:
            self._selector.register(lifeline, selectors.EVENT_READ, self._on_orphaned)
        try:
            while not self._is_over():
                self._turn()
        finally:
            self._end()

    def _turn(self) -> None:
        # Set before `_changed` is read: a thread that appends after that wakes the selector (`post`).
        self._is_sleeping = True
        events = self._selector.select(0 if self._changed else _TICK_SECONDS)
        self._is_sleeping = False
        self.now = time.monotonic()  # once a turn: all that comes in a turn came at the same time
        # Sockets before responses: a client that is gone by now needs none. Deadlines last: bytes that
        # came in time, but behind other clients' turns, are taken first.
        for key, mask in events:
            callback: Callable[[int], None] = key.data
            callback(mask)
        for _ in range(len(self._changed)):  # what threads append meanwhile waits for the next turn
            self._changed.popleft().on_response()
        if self.now >= self._next_tick or self.site.backlog.is_full():
            self._next_tick = self.now + _TICK_SECONDS
            self._on_tick()
        if not self._is_accepting and not self._stops:
            self._resume_accepting()

    def _on_tick(self) -> None:
        for room in self.rooms.all:
            for connection in room.expired(self.now):
                connection.on_deadline(room)
        for connection in self.rooms.burdens(self._limits.unread_bytes, len(self._threads)):
            connection.drop()

    def _on_orphaned(self, _events: int) -> None:
        if not self._stops:
            self.stop()

    def _on_accept(self, _events: int) -> None:
        for _ in range(_ACCEPTS_A_TURN):
            try:
                sock, (host, port, *_) = self._listener.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED and not self._evict("open files"):
                    self._pause_accepting()
                return
            # After accept: only now is it certain that a client needs the place of another one.
            has_room = self._make_room()
            sock.setblocking(False)
            self._connections[Connection(self, sock, (plain_text(host), port))] = None
            if not has_room:
                # This one is served beyond the limit; the next wait in the kernel's queue.
                self._pause_accepting()
                return

    def _make_room(self) -> bool:
        while len(self._connections) >= self._limits.connections:
            if not self._evict("connections"):
                return False
        return True

    def _evict(self, what: str) -> bool:
        """Drop the client that the server has waited for longest; return False if all are being served."""
        self._warn("no more %s (%d connections): dropping the slowest", what, len(self._connections))
        connection = self.rooms.evictable(self.now)
        if connection is None:
            return False
        connection.drop()
        return True

    def _warn_of_holdings(self, held_bytes: int) -> None:
        self._warn("requests under way hold %d bytes: refusing the largest", held_bytes)

    def _warn(self, text: str, *values: object) -> None:
        if self.now >= self._next_warning:
            self._next_warning = self.now + _WARNING_SECONDS
            log.warning(text, *values)

    def _pause_accepting(self) -> None:
        if self._is_accepting:
            self._is_accepting = False
            self._selector.unregister(self._listener)

    def _resume_accepting(self) -> None:
        is_full = len(self._connections) >= self._limits.connections
        if is_full and self.rooms.evictable(self.now) is None:
            return
        self._is_accepting = True
        self._selector.register(self._listener, selectors.EVENT_READ, self._on_accept)

    # The end

    def _is_over(self) -> bool:
        if not self._stops:
            return False
        if self._stop_before is None:
            self._stop_before = self.now + self._limits.request_seconds
            self._begin_end()
        return not self._connections or self._stops > 1 or self.now >= self._stop_before

    def _begin_end(self) -> None:
        self.site.is_stopping = True
        # A client in the kernel's queue is connected already, as far as it can tell.
        for _ in range(_QUEUE_TURNS):
            self._on_accept(0)
        self._pause_accepting()
        self._listener.close()
        for connection in list(self._connections):
            connection.on_stop()

    def _end(self) -> None:
        self._requests.end(len(self._threads))  # first, so that no thread takes a request of a dropped client
        for connection in list(self._connections):
            connection.drop()
        self._selector.close()
        self._waker.close()
        self._on_end()
