"""One connection pool for each certificate in use, so that no connection outlives its certificate."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from macaroon_cbat.client.certificate import Credentials

Pool = TypeVar("Pool")


class Pools(Generic[Pool]):
    """Connection pools by credentials, counted while requests use them. Thread-safe.

    A pool is over when a newer certificate has one and its own last request is done. `lease` and
    `give_back` return the pools that are over: closing them, awaited or not, is the caller's part.
    """

    def __init__(self, make: Callable[[Credentials], Pool]) -> None:
        self._make = make
        self._pools: dict[Credentials, Pool] = {}
        self._leases: dict[Credentials, int] = {}
        self._lock = threading.Lock()

    def lease(self, credentials: Credentials) -> tuple[Pool, list[Pool]]:
        """Return the pool whose connections present these credentials, and the pools that are over."""
        with self._lock:
            if credentials not in self._pools:
                self._pools[credentials] = self._make(credentials)
            self._leases[credentials] = self._leases.get(credentials, 0) + 1
            return self._pools[credentials], self._take_over()

    def give_back(self, credentials: Credentials) -> list[Pool]:
        """End one lease and return the pools that are over."""
        with self._lock:
            if credentials in self._leases:
                self._leases[credentials] -= 1
            return self._take_over()

    def take_all(self) -> list[Pool]:
        """Return every pool and know none any more."""
        with self._lock:
            pools = list(self._pools.values())
            self._pools.clear()
            self._leases.clear()
            return pools

    def _take_over(self) -> list[Pool]:
        newest = max((credentials.generation for credentials in self._pools), default=0)
        over = [
            credentials
            for credentials in self._pools
            if credentials.generation < newest and not self._leases[credentials]
        ]
        for credentials in over:
            del self._leases[credentials]
        return [self._pools.pop(credentials) for credentials in over]
