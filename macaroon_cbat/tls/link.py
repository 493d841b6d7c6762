"""The socket of one connection: output that waits for its reader, what to watch for, and a clean end."""

import logging
import selectors
import socket
import struct
from contextlib import suppress
from typing import Protocol

from macaroon_cbat.tls.deadlines import Room, Waiter
from macaroon_cbat.tls.host import Reactor

log = logging.getLogger("macaroon_cbat.tls")

_READ_BYTES = 1 << 14  # one TLS record: more would keep other clients waiting for their turn
_PROGRESS_BYTES = 1 << 14  # a reader that takes less than a record in its time is stalling
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds, so that close() sends RST


class LinkOwner(Waiter, Protocol):
    """The connection that takes what a link receives."""

    def on_ciphertext(self, ciphertext: bytes, /) -> None:
        """Take bytes from the socket."""

    def on_end(self) -> None:
        """Learn that no more bytes will come."""

    def on_drained(self) -> None:
        """Send more: what waited is gone."""

    def on_gone(self) -> None:
        """Clean up: the socket is closed."""


class Link:
    """A non-blocking socket that waits in at most one room and never reads while its output is stuck."""

    __slots__ = (
        "_is_closing", "_lingers", "_output", "_owner", "_progress", "_reactor", "_sock", "_watched",
        "is_ended", "is_open", "owes_response", "room", "wants_input",
    )  # fmt: skip

    def __init__(self, reactor: Reactor, sock: socket.socket, owner: LinkOwner) -> None:
        self._reactor = reactor
        self._sock = sock
        self._owner = owner
        self._output = memoryview(b"")
        self._progress = 0
        self._watched = 0
        self._is_closing = False
        self._lingers = False
        self.room: Room | None = None
        self.is_open = True
        self.is_ended = False
        self.owes_response = False
        self.wants_input = True
        self.wait_in(reactor.rooms.handshake)
        self.watch()

    # What the socket says

    def on_ready(self, events: int) -> None:
        """Do what the socket is ready for."""
        try:
            if events & selectors.EVENT_WRITE and self.is_open:
                self._on_writable()
            if events & selectors.EVENT_READ and self.is_open:
                self._on_readable()
        except Exception:
            # One connection that fails in an unforeseen way must not take the others with it.
            log.exception("dropped a connection")
            self.drop()

    def _on_readable(self) -> None:
        try:
            data = self._sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.drop()
            return
        if not data:
            self.end_input()
        elif not self._is_closing:
            self._owner.on_ciphertext(data)
        # Else the client still sends what was refused. Unread, it would make the kernel send a reset,
        # which takes the refusal from the client as well.

    def _on_writable(self) -> None:
        if self._output:
            self._flush()
        if self._output or not self.is_open:
            return
        if self._is_closing:
            self._finish_closing()
        else:
            self._owner.on_drained()

    def end_input(self) -> None:
        """Read no more: the client has said that it will send nothing."""
        self.is_ended = True
        if self._output:
            self.watch()
        elif self._is_closing:
            self.drop()
        else:
            self._owner.on_end()

    # What goes out

    def can_send(self) -> bool:
        """Return True if output would go out now rather than wait."""
        return self.is_open and not self._output

    def send(self, data: bytes) -> None:
        """Send what the socket takes and keep the rest."""
        if not data or not self.is_open:
            return
        if self._output:
            self._output = memoryview(bytes(self._output) + data)
        else:
            self._output = memoryview(data)
            self._flush()

    def _flush(self) -> None:
        try:
            sent = self._sock.send(self._output)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.drop()
            return
        self._output = self._output[sent:]
        if self.owes_response or self._is_closing:
            self._judge_reader(sent)
        self.watch()

    def _judge_reader(self, sent: int) -> None:
        """Start the reader's time anew only after it has taken _PROGRESS_BYTES: a trickle buys no time."""
        reader = self._reactor.rooms.reader
        self._progress += sent
        if not self._output:
            if self.room is reader:
                self.wait_in(None)
        elif self.room is not reader or self._progress >= _PROGRESS_BYTES:
            self._progress = 0
            self.wait_in(reader)

    # What to wait for

    def wait_in(self, room: Room | None) -> None:
        """Let the time of this room run, or none."""
        if self.room is not None:
            self.room.leave(self._owner)
        self.room = room
        if room is not None:
            room.enter(self._owner, self._reactor.now)

    def watch(self, *, has_more: bool = False) -> None:
        """Watch for the event that is useful now; with `has_more`, for the next turn to send in."""
        if not self.is_open:
            return
        # Output first: a client that does not read gets nothing read either, so it cannot fill the memory.
        if self._output or has_more:
            events = selectors.EVENT_WRITE
        elif self.wants_input and not self.is_ended:
            events = selectors.EVENT_READ
        else:
            events = 0
        if events != self._watched:
            self._reactor.watch(self._sock, self._watched, events, self.on_ready)
            self._watched = events

    # The end

    def close(self, farewell: bytes, *, lingering: bool) -> None:
        """Send what is left and the farewell, then close; lingering reads on so that the answer arrives."""
        self._is_closing = True
        self._lingers = lingering
        self.wants_input = True
        self.send(farewell)
        if not self._output:
            self._finish_closing()
        elif self.room is not self._reactor.rooms.reader:
            self.wait_in(self._reactor.rooms.reader)

    def is_closing(self) -> bool:
        """Return True if nothing more will be read or answered."""
        return self._is_closing or not self.is_open

    def _finish_closing(self) -> None:
        if not self.is_open:
            return
        if not self._lingers or self.is_ended:
            self.drop()
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop()
            return
        self.wait_in(self._reactor.rooms.linger)
        self.watch()

    def drop(self, *, resetting: bool = False) -> None:
        """Close at once; `resetting` also throws away what the kernel still holds for the reader."""
        if not self.is_open:
            return
        self.is_open = False  # first: what the owner does below may come back here
        self.wait_in(None)
        if self._watched:
            # Before close: the number of a closed socket may be another client's by the next turn.
            self._reactor.watch(self._sock, self._watched, 0, self.on_ready)
        if resetting:
            # Some systems refuse it after the client has gone, when it is not needed.
            with suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._sock.close()
        self._owner.on_gone()
