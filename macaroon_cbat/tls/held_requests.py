"""The bytes of requests that all clients of one process make it hold, and the bound on them."""

from collections.abc import Collection

from macaroon_cbat.tls.overload import Warnings
from macaroon_cbat.tls.rooms import Client


class Holdings:
    """One bound for the requests of all clients: half-sent ones, and whole ones that wait for a thread.

    The largest are refused first, among equals the oldest. A client that holds no more than an equal
    share of the bound is never refused for the others' sake.
    """

    def __init__(self, clients: Collection[Client], warnings: Warnings) -> None:
        """Let these clients, the oldest first, hold nothing until `allow`."""
        self._limit = self._share = 0
        self._clients, self._warnings = clients, warnings
        self.held_bytes = 0
        """An upper bound of the bytes held: a thread that takes a request does not report it."""

    def allow(self, limit: int, clients: int) -> None:
        """Let so many clients hold so many bytes together."""
        self._limit, self._share = limit, limit // clients

    def count(self, client: Client) -> None:
        """Count a client anew, and refuse requests if all together hold too much."""
        now = client.held_bytes()
        self.held_bytes += now - client.counted_bytes
        client.counted_bytes = now
        if self.held_bytes > self._limit:
            self._relieve()

    def forget(self, client: Client) -> None:
        """Count a client no more: it is gone."""
        self.held_bytes -= client.counted_bytes
        client.counted_bytes = 0

    def _relieve(self) -> None:
        """Count all anew; if it is still too much, refuse until an eighth is free, so that this is rare."""
        for client in self._clients:
            client.counted_bytes = client.held_bytes()
        self.held_bytes = sum(client.counted_bytes for client in self._clients)
        if self.held_bytes <= self._limit:
            return
        self._warnings.warn("requests under way hold %d bytes: refusing the largest", self.held_bytes)
        for client in sorted(self._clients, key=lambda one: -one.counted_bytes):
            if self.held_bytes <= self._limit * 7 // 8 or client.counted_bytes <= self._share:
                return
            client.shed()
            self.forget(client)
