"""The event loop of one process: it owns every socket and all TLS, and threads see complete requests alone.

One thread for all TLS needs no lock around a session, and a client that stalls holds no thread. `host` shows
the loop as its connections see it.
"""

import asyncio
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from macaroon_cbat.certificate.address import plain_text
from macaroon_cbat.server.event_loop import new_event_loop
from macaroon_cbat.server.limits import Limits
from macaroon_cbat.tls.acceptor import Acceptor
from macaroon_cbat.tls.connection import Connection
from macaroon_cbat.tls.exchange import Exchange
from macaroon_cbat.tls.held_requests import Holdings
from macaroon_cbat.tls.link import READ_BYTES, do_or_drop
from macaroon_cbat.tls.overload import Turns, Warnings
from macaroon_cbat.tls.request import Request
from macaroon_cbat.tls.request_queue import RequestQueue
from macaroon_cbat.tls.rooms import Client, Rooms
from macaroon_cbat.tls.server_certificate import ServerCertificate
from macaroon_cbat.tls.site import Site

log = logging.getLogger("macaroon_cbat.tls")

_TICK_SECONDS = 0.25  # deadlines are whole seconds: a client gains a quarter of one at most
_LIFE_SECONDS = 10.0  # a loop without a turn for so long hangs: a busy machine pauses it for a second at most
_FINISHED_A_TURN = 64  # one event may finish thousands of parked responses, and others are served meanwhile
_CLOSING_TURNS = 3  # the event loop closes a socket in the turn after it was dropped


class Loop:
    """The server of one listening socket, until it is stopped."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        certificate: ServerCertificate,
        site: Site,
        limits: Limits,
        threads: int,
        *,
        on_end: Callable[[], None],
        events: asyncio.AbstractEventLoop | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Serve the site at all listeners; call `on_end` after the last request."""
        self.certificate = certificate
        self.site, self.rooms = site, Rooms()
        self.events = events or new_event_loop()
        self.now = now
        self.last_turn = now()
        """The time of the last tick, by which other threads see that the loop goes on."""
        self._on_end = on_end
        self.read_buffer = memoryview(bytearray(READ_BYTES))
        self.connections: dict[Client, None] = {}  # the oldest one first
        self.warnings, self.turns = Warnings(now), Turns()
        self._acceptor = Acceptor(listeners, self)
        self.holdings = Holdings(self.connections, self.warnings)
        self._changed: deque[Client] = deque()
        self._finished: deque[Client] = deque()
        self._is_woken = False
        self._requests = RequestQueue()
        self._threads = [
            threading.Thread(target=self._requests.serve, name=f"request-{n}", daemon=True)
            for n in range(threads)
        ]
        self._stops = 0
        self._stop_before: float | None = None
        """The time by which the last requests must end, once the stop has begun."""
        self._allow(limits)

    # For other threads and signal handlers

    def post(self, client: Client) -> None:
        """Have the loop look at the response of this client, in its next turn."""
        # Appended first: a loop that looked at `_changed` before that has unset the mark, and is woken.
        self._changed.append(client)
        if not self._is_woken:
            self._is_woken = True
            self._wake(self._on_changed)

    def stop(self) -> None:
        """Finish the requests under way and return from `run`; after a second call, return at once."""
        self._stops += 1
        self._wake(self._on_stop)

    def goes_on(self) -> bool:
        """Return True if the loop had a turn within the last seconds."""
        return self.now() - self.last_turn < _LIFE_SECONDS

    def allow(self, limits: Limits) -> None:
        """Put other limits in force, for waits that begin from now on as well as for those under way."""
        self._wake(lambda: self._allow(limits))

    def _allow(self, limits: Limits) -> None:
        self.limits = limits
        self.rooms.allow(limits)
        self.holdings.allow(limits.pending_bytes, limits.connections)
        self.site.backlog.allow(limits.unread_bytes)
        self.site.places.allow(limits.connections)

    def _wake(self, callback: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # a thread may end its request after the loop
            self.events.call_soon_threadsafe(callback)

    # For connections

    def submit(self, exchange: Exchange) -> None:
        """Have a thread serve this request."""
        self.turns.serve(self.now())
        self._requests.put(exchange)

    def withdraw(self, exchange: Exchange) -> bool:
        """Have no thread take this request; return False if one has."""
        return self._requests.withdraw(exchange)

    def new_request(self) -> Request:
        """Return an empty request within the limits."""
        return Request(self.limits.header_bytes, self.limits.body_bytes)

    def forget(self, client: Client) -> None:
        """Leave out a client that is gone."""
        self.connections.pop(client, None)
        self.holdings.forget(client)
        self._go_on()

    # For the acceptor

    def welcome(self, sock: socket.socket, address: tuple[str, int] | str | bytes) -> Connection:
        """Serve this connection: over TCP, whose addresses are tuples, or a Unix socket."""
        client = (plain_text(address[0]), address[1]) if isinstance(address, tuple) else ("localhost", None)
        connection = Connection(self, client)
        self.connections[connection] = None
        self.events.create_task(self._connect(connection, sock))
        return connection

    async def _connect(self, connection: Connection, sock: socket.socket) -> None:
        try:
            await self.events.connect_accepted_socket(lambda: connection.link, sock)
        except OSError:  # the client has gone already, which some systems tell here
            sock.close()
            connection.drop()

    # The loop itself

    def run(self, lifeline: int | None = None) -> None:
        """Serve until stopped, or until the other end of the lifeline pipe is gone."""
        for thread in self._threads:
            thread.start()
        if lifeline is not None:
            self.events.add_reader(lifeline, self._on_orphaned, lifeline)
        self._acceptor.resume()
        self._tick()
        try:
            self.events.run_forever()
        finally:
            self._end()

    def _on_changed(self) -> None:
        self._is_woken = False
        for _ in range(len(self._changed)):  # what threads append meanwhile waits for the next turn
            client = self._changed.popleft()
            if client.is_parked():
                self._finished.append(client)
            else:
                do_or_drop(client.drop, client.on_response)
        for _ in range(min(len(self._finished), _FINISHED_A_TURN)):
            client = self._finished.popleft()
            do_or_drop(client.drop, client.on_response)
        if self._finished and not self._is_woken:
            self._is_woken = True
            self.events.call_soon(self._on_changed)
        if self.site.backlog.is_full():
            self.on_tick()

    def _tick(self) -> None:
        self.events.call_later(_TICK_SECONDS, self._tick)
        self.on_tick()

    def on_tick(self) -> None:
        """Do what is due."""
        self.last_turn = now = self.now()
        for room in self.rooms.all:
            for connection in room.expired(now):
                do_or_drop(connection.drop, connection.on_deadline, room)
        for connection in self.rooms.burdens(self.limits.unread_bytes, len(self._threads)):
            connection.drop()
        self._go_on()

    def _go_on(self) -> None:
        """Use the place of a client that is gone; end if it was the last one."""
        if self._stop_before is None:
            self._acceptor.resume()
        else:
            self._end_if_over()

    def _on_orphaned(self, lifeline: int) -> None:
        self.events.remove_reader(lifeline)
        if not self._stops:
            self.stop()

    # The end

    def _on_stop(self) -> None:
        if self._stop_before is None:
            self._stop_before = self.now() + self.limits.request_seconds
            self.site.is_stopping = True
            self._acceptor.end()
            for connection in list(self.connections):
                connection.on_stop()
        self._end_if_over()

    def _end_if_over(self) -> None:
        is_late = self._stop_before is not None and self.now() >= self._stop_before
        if not self.connections or self._stops > 1 or is_late:
            self.events.stop()

    def _end(self) -> None:
        self._requests.end(len(self._threads))  # first, so that no thread takes a request of a dropped client
        for connection in list(self.connections):
            connection.drop()
        for _ in range(_CLOSING_TURNS):
            self.events.call_soon(self.events.stop)
            self.events.run_forever()
        self.events.close()
        self._on_end()
