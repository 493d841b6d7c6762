"""The waiting rooms of a server: which clients keep it waiting, since when, and which of them must go."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Protocol

from macaroon_cbat.server.limits import Limits

_LINGER_SECONDS = 2.0
"""The time in which a refused client may read its answer before the socket is closed."""

_SLOT_SECONDS = 0.25
"""The precision of parked responses' time."""

_SPARED_SECONDS = 0.1
"""The age below which a client is not dropped for a newcomer, or newcomers would drop each other."""


class Client(Protocol):
    """A connection, as the server calls it; in a room, if the server waits for its client."""

    def on_data(self, data: bytes, /) -> None:
        """Take bytes from the socket."""

    def on_end(self) -> None:
        """Learn that no more bytes will come."""

    def on_response(self) -> None:
        """Send what has been made so far."""

    def on_deadline(self, room: "Room", /) -> None:
        """Learn that the time in this room is over."""

    def on_stop(self) -> None:
        """End, unless a request is under way."""

    def on_gone(self) -> None:
        """Clean up: the socket is closed."""

    def drop(self) -> None:
        """End at once, to make room for another client."""

    def shed(self) -> None:
        """Refuse the request that is held, and forget it."""

    def is_parked(self) -> bool:
        """Return True if no thread makes its response."""

    def backlog(self) -> tuple[int, bool]:
        """Return how many bytes wait for this reader, and whether a thread waits too."""

    counted_bytes: int

    def held_bytes(self) -> int:
        """Return how many bytes of requests the server holds for it now."""


class Room:
    """Connections that wait for the same thing, the longest waiting one first."""

    __slots__ = ("_since", "seconds")

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._since: OrderedDict[Client, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._since)

    def enter(self, connection: Client, now: float) -> None:
        """Start the time of this connection, or start it anew."""
        self._since.pop(connection, None)
        self._since[connection] = now

    def leave(self, connection: Client) -> None:
        """Stop its time."""
        self._since.pop(connection, None)

    def expired(self, now: float) -> Iterator[Client]:
        """Remove and yield those whose time is over."""
        while self._since:
            connection, since = next(iter(self._since.items()))
            if since + self.seconds > now:
                return
            del self._since[connection]
            yield connection

    def oldest(self) -> tuple[float, Client] | None:
        """Return the connection that has waited longest, and since when."""
        if not self._since:
            return None
        connection, since = next(iter(self._since.items()))
        return since, connection

    def everyone(self) -> list[Client]:
        """Return all connections that wait here."""
        return list(self._since)


class ParkedRoom(Room):
    """Connections whose responses are parked, each for as long as its application says."""

    __slots__ = ("_slot_of", "_slots")

    def __init__(self) -> None:
        super().__init__()
        self._slots: dict[int, dict[Client, None]] = {}
        self._slot_of: dict[Client, int] = {}

    def __len__(self) -> int:
        return len(self._slot_of)

    def enter_for(self, connection: Client, now: float, seconds: float) -> None:
        """Start the time of this connection: so many seconds, rounded up to a slot."""
        slot = self._slot_of[connection] = int((now + seconds) / _SLOT_SECONDS) + 1
        self._slots.setdefault(slot, {})[connection] = None

    def leave(self, connection: Client) -> None:
        """Stop its time."""
        slot = self._slot_of.pop(connection, None)
        if slot is not None:
            self._slots[slot].pop(connection, None)

    def expired(self, now: float) -> Iterator[Client]:
        """Remove and yield those whose time is over."""
        for slot in sorted(slot for slot in self._slots if slot * _SLOT_SECONDS <= now):
            for connection in list(self._slots.pop(slot)):
                if self._slot_of.get(connection) == slot:  # one that ends may end others
                    del self._slot_of[connection]
                    yield connection


class Rooms:
    """The rooms of a server: one for each thing that it waits for from a client."""

    def __init__(self) -> None:
        """Begin with rooms for no time at all: `allow` sets it."""
        self.handshake, self.request, self.idle = Room(), Room(), Room()
        self.reader, self.linger, self.parked = Room(), Room(_LINGER_SECONDS), ParkedRoom()
        self.all = (self.handshake, self.request, self.idle, self.reader, self.linger, self.parked)

    def allow(self, limits: Limits) -> None:
        """Let clients take these seconds, those that wait already as well."""
        self.handshake.seconds = limits.handshake_seconds
        self.request.seconds = self.reader.seconds = limits.request_seconds
        self.idle.seconds = limits.idle_seconds

    def burdens(self, unread_bytes: int, threads: int) -> list[Client]:
        """Return the slow readers to drop, the slowest first, because together they take up too much.

        Half of the threads may wait for readers, so that the others are always free to serve.
        """
        waiting_bytes = waiting_threads = 0
        found: list[Client] = []
        for connection in reversed(self.reader.everyone()):
            waiting, is_blocked = connection.backlog()
            waiting_bytes += waiting
            waiting_threads += is_blocked
            if waiting_bytes > unread_bytes or (is_blocked and waiting_threads > threads // 2):
                found.append(connection)
        return found[::-1]

    def evictable(self, now: float) -> Client | None:
        """Return the connection to drop for a newcomer: the one that the server has waited for longest.

        Age decides, not the kind of waiting. So a client that stalls in any way goes before one that is in
        the middle of a brisk handshake, and before a reader that goes on reading. Return None if all that
        wait are younger than _SPARED_SECONDS, or if every client is being served.
        """
        found = [oldest for room in self.all if (oldest := room.oldest()) is not None]
        since, connection = min(found, key=lambda oldest: oldest[0], default=(now, None))
        return connection if since + _SPARED_SECONDS <= now else None
