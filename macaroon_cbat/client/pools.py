"""One connection pool for each certificate in use, so that no connection outlives its certificate."""

from collections.abc import Callable
from typing import Generic, TypeVar

from macaroon_cbat.client.certificate import Credentials
from macaroon_cbat.files.process_values import PerProcess, ProcessLock

Pool = TypeVar("Pool")


class _Owned(Generic[Pool]):
    """The pools of one process."""

    def __init__(self) -> None:
        self.pools: dict[Credentials, Pool] = {}
        self.leases: dict[Credentials, int] = {}


class Pools(Generic[Pool]):
    """Connection pools by credentials, counted while requests use them. Thread-safe, and safe to fork.

    A pool is over when a newer certificate has one and its own last request is done. `lease` and
    `give_back` return the pools that are over: closing them, awaited or not, is the caller's part. A forked
    child has pools of its own, and leaves those of its parent alone: two processes on one TLS connection
    would read each other's answers.
    """

    def __init__(self, make: Callable[[Credentials], Pool]) -> None:
        self._make = make
        self._owned: PerProcess[_Owned[Pool]] = PerProcess(_Owned)
        self._lock = ProcessLock()

    def lease(self, credentials: Credentials) -> tuple[Pool, list[Pool]]:
        """Return the pool whose connections present these credentials, and the pools that are over."""
        with self._lock.current():
            owned = self._owned.current()
            if credentials not in owned.pools:
                owned.pools[credentials] = self._make(credentials)
            owned.leases[credentials] = owned.leases.get(credentials, 0) + 1
            return owned.pools[credentials], _take_over(owned)

    def give_back(self, credentials: Credentials) -> list[Pool]:
        """End one lease and return the pools that are over."""
        with self._lock.current():
            owned = self._owned.current()
            if credentials in owned.leases:
                owned.leases[credentials] -= 1
            return _take_over(owned)

    def take_all(self) -> list[Pool]:
        """Return every pool and know none any more."""
        with self._lock.current():
            owned = self._owned.current()
            pools = list(owned.pools.values())
            owned.pools.clear()
            owned.leases.clear()
            return pools


def _take_over(owned: _Owned[Pool]) -> list[Pool]:
    newest = max((credentials.generation for credentials in owned.pools), default=0)
    over = [
        credentials
        for credentials in owned.pools
        if credentials.generation < newest and not owned.leases[credentials]
    ]
    for credentials in over:
        del owned.leases[credentials]
    return [owned.pools.pop(credentials) for credentials in over]
