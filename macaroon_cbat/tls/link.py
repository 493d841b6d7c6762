"""The transport of one connection: output that waits for its reader, what to read, and a clean end."""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from macaroon_cbat.tls.host import Host
from macaroon_cbat.tls.rooms import Client, Room

log = logging.getLogger("macaroon_cbat.tls")

READ_BYTES = 1 << 14
"""One TLS record: more would keep other clients waiting for their turn."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds, so that close() sends RST


def do_or_drop(drop: Callable[[], None], what: Callable[..., None], *arguments: object) -> None:
    """Do this for a connection: one that fails in an unforeseen way is dropped and harms no other."""
    try:
        what(*arguments)
    except Exception:
        log.exception("dropped a connection")
        drop()


class Link(asyncio.BufferedProtocol):
    """A transport that waits in at most one room and never reads while its output is stuck."""

    __slots__ = (
        "_is_blocked", "_is_closing", "_is_reading", "_lingers", "_transport", "host", "is_ended",
        "is_open", "owner", "room", "wants_input",
    )  # fmt: skip

    def __init__(self, host: Host, owner: Client) -> None:
        self.host, self.owner = host, owner
        self._transport: asyncio.Transport | None = None
        self._is_blocked = False
        self._is_reading = True
        self._is_closing = False
        self._lingers = False
        self.room: Room | None = None
        self.is_open = True
        self.is_ended = False
        self.wants_input = True
        self.wait_in(host.rooms.handshake)

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless the connection was dropped before that."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class has no such base
        # Everything that the kernel does not take at once counts as stuck.
        self._transport.set_write_buffer_limits(high=0)
        if not self.is_open:
            self._transport.abort()

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return the buffer of the process: it is empty again before another socket is read."""
        return self.host.read_buffer

    def buffer_updated(self, size: int) -> None:
        """Take bytes from the socket."""
        # A closing client still sends what was refused. Unread, it would make the kernel send a reset,
        # which takes the refusal from the client as well.
        if not self.is_open or self._is_closing:
            return
        do_or_drop(self.drop, self.owner.on_data, bytes(self.host.read_buffer[:size]))

    def eof_received(self) -> bool:
        """Read no more, and keep the other direction open."""
        if self.is_open:
            do_or_drop(self.drop, self.end_input)
        return True

    def pause_writing(self) -> None:
        """Wait for the reader. Its time runs anew only after it has taken a whole piece."""
        self._is_blocked = True
        rooms = self.host.rooms
        # In no room, or parked, it is being answered; in the others its own time runs on.
        is_answered = self.room is None or self.room is rooms.parked
        if self.is_open and (is_answered or self._is_closing) and self.room is not rooms.reader:
            self.wait_in(rooms.reader)
        self.watch()

    def resume_writing(self) -> None:
        """Go on: the kernel has taken everything."""
        self._is_blocked = False
        if not self.is_open:
            return
        if self.room is self.host.rooms.reader:
            self.wait_in(None)
        self.watch()
        do_or_drop(self.drop, self._finish_closing if self._is_closing else self.owner.on_response)

    def connection_lost(self, _error: Exception | None) -> None:
        """Clean up."""
        self._transport = None
        if self.is_open:
            self.is_open = False
            self.wait_in(None)
            self.owner.on_gone()

    def end_input(self) -> None:
        """Read no more: the client has said that it will send nothing."""
        self.is_ended = True
        self.watch()
        if self._is_closing and not self._is_blocked:
            self.drop()
        elif not self._is_closing:
            self.owner.on_end()

    # What goes out

    def can_send(self) -> bool:
        """Return True if output would go out now rather than wait."""
        return self.is_open and not self._is_blocked

    def send(self, data: bytes) -> None:
        """Send what the socket takes and keep the rest."""
        if data and self.is_open and self._transport is not None:
            self._transport.write(data)

    # What to wait for

    def wait_in(self, room: Room | None) -> None:
        """Let the time of this room run, or none."""
        if self.room is not None:
            self.room.leave(self.owner)
        self.room = room
        if room is not None:
            room.enter(self.owner, self.host.now())

    def watch(self) -> None:
        """Read if that is useful now: a client that does not read gets nothing read either."""
        is_useful = self.wants_input and not self.is_ended and not self._is_blocked
        if is_useful == self._is_reading or not self.is_open or self._transport is None:
            return
        self._is_reading = is_useful
        if is_useful:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    # The end

    def close(self, farewell: bytes, *, lingering: bool) -> None:
        """Send what is left and the farewell, then close; lingering reads on so that the answer arrives."""
        self._is_closing = True
        self._lingers = lingering
        self.wants_input = True
        self.send(farewell)
        if not self._is_blocked:
            self._finish_closing()
        elif self.room is not self.host.rooms.reader:
            self.wait_in(self.host.rooms.reader)

    def is_closing(self) -> bool:
        """Return True if nothing more will be read or answered."""
        return self._is_closing or not self.is_open

    def _finish_closing(self) -> None:
        if not self.is_open:
            return
        if not self._lingers or self.is_ended or self._transport is None:
            self.drop()
            return
        try:
            self._transport.write_eof()
        except OSError:
            self.drop()
            return
        self.wait_in(self.host.rooms.linger)
        self.watch()

    def drop(self, *, resetting: bool = False) -> None:
        """Close at once; `resetting` also throws away what the kernel still holds for the reader."""
        if not self.is_open:
            return
        self.is_open = False  # first: what the owner does below may come back here
        self.wait_in(None)
        if self._transport is not None:
            if resetting:
                self._reset_on_close(self._transport.get_extra_info("socket"))
            self._transport.abort()
        self.owner.on_gone()

    @staticmethod
    def _reset_on_close(sock: socket.socket) -> None:
        # Some systems refuse it after the client has gone, when it is not needed.
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
