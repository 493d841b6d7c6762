"""Waiting rooms: who owes us bytes, since when, and who has to go."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from macaroon_cbat.server.limits import Limits

if TYPE_CHECKING:
    from macaroon_cbat.tls.link import LinkOwner

_LINGER_SECONDS = 2.0
_SPARED_SECONDS = 0.1


class Room:
    """LinkOwners that wait for the same thing, the longest waiting one first."""

    __slots__ = ("_since", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._since: OrderedDict[LinkOwner, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._since)

    def enter(self, connection: "LinkOwner", now: float) -> None:
        """Start, or start again, the time of this connection."""
        self._since.pop(connection, None)
        self._since[connection] = now

    def leave(self, connection: "LinkOwner") -> None:
        """Stop its time."""
        self._since.pop(connection, None)

    def expired(self, now: float) -> Iterator["LinkOwner"]:
        """Remove and yield those whose time is over."""
        while self._since:
            connection, since = next(iter(self._since.items()))
            if since + self.seconds > now:
                return
            del self._since[connection]
            yield connection

    def oldest(self) -> tuple[float, "LinkOwner"] | None:
        """Return who has waited longest, and since when."""
        if not self._since:
            return None
        connection, since = next(iter(self._since.items()))
        return since, connection

    def everyone(self) -> list["LinkOwner"]:
        """Return all who wait here."""
        return list(self._since)


class Rooms:
    """One room for each thing that a client can keep us waiting for."""

    def __init__(self, limits: Limits) -> None:
        self.handshake = Room(limits.handshake_seconds)
        self.request = Room(limits.request_seconds)
        self.idle = Room(limits.idle_seconds)
        self.reader = Room(limits.request_seconds)
        self.linger = Room(_LINGER_SECONDS)
        self.all = (self.handshake, self.request, self.idle, self.reader, self.linger)

    def burdens(self, unread_bytes: int, threads: int) -> "list[LinkOwner]":
        """Return the slow readers to drop, the slowest first, because together they take up too much.

        Half of the threads may wait for readers, so that the others are always free to serve.
        """
        waiting_bytes = waiting_threads = 0
        found: list[LinkOwner] = []
        for connection in reversed(self.reader.everyone()):
            waiting, is_blocked = connection.backlog()
            waiting_bytes += waiting
            waiting_threads += is_blocked
            if waiting_bytes > unread_bytes or (is_blocked and waiting_threads > threads // 2):
                found.append(connection)
        return found[::-1]

    def evictable(self, now: float) -> "LinkOwner | None":
        """Return whom to drop for a newcomer: who has kept us waiting longest without a request in work.

        Age decides and not the kind of waiting, so stallers of any kind go before a client that is
        in the middle of a brisk handshake, and before a reader that goes on reading. Who has just
        come is spared: when all others are being served, newcomers must not drop each other.
        """
        found = [oldest for room in self.all if (oldest := room.oldest()) is not None]
        since, connection = min(found, key=lambda oldest: oldest[0], default=(now, None))
        return connection if since + _SPARED_SECONDS <= now else None
