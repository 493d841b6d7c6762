"""One connection pool for each certificate in use, so that no connection outlives its certificate."""

import ssl
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from macaroon_cbat.client.certificate import Credentials
from macaroon_cbat.client.trust import TrustedCas
from macaroon_cbat.files.process_values import PerProcess, ProcessLock

Pool = TypeVar("Pool")


class Generation(Hashable, Protocol):
    """A key whose greater `generation` is newer."""

    @property
    def generation(self) -> Any:
        """A value that compares."""


Key = TypeVar("Key", bound=Generation)


@dataclass(frozen=True, slots=True)
class PoolKey:
    """The credentials that a pool's connections present, and the CAs that they trust."""

    credentials: Credentials
    cas: TrustedCas

    @property
    def generation(self) -> tuple[int, int]:
        """Newer credentials come first, then newer CAs."""
        return self.credentials.generation, self.cas.generation

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of the pool's connections."""
        return self.credentials.context_trusting(self.cas)


class _Owned(Generic[Key, Pool]):
    """The pools of one process."""

    def __init__(self) -> None:
        self.pools: dict[Key, Pool] = {}
        self.leases: dict[Key, int] = {}


class Pools(Generic[Key, Pool]):
    """Connection pools by key, counted while requests use them. Thread-safe, and safe to fork.

    A pool is over when a newer key has one and its own last request is done. `lease` and
    `give_back` return the pools that are over: closing them, awaited or not, is the caller's part. A forked
    child has pools of its own, and leaves those of its parent alone: two processes on one TLS connection
    would read each other's answers.
    """

    def __init__(self, make: Callable[[Key], Pool]) -> None:
        self._make = make
        self._owned: PerProcess[_Owned[Key, Pool]] = PerProcess(_Owned)
        self._lock = ProcessLock()

    def __len__(self) -> int:
        """Return the number of this process's pools that are not over."""
        return len(self._owned.current().pools)

    def lease(self, key: Key) -> tuple[Pool, list[Pool]]:
        """Return the pool of this key, and the pools that are over."""
        with self._lock.current():
            owned = self._owned.current()
            if key not in owned.pools:
                owned.pools[key] = self._make(key)
            owned.leases[key] = owned.leases.get(key, 0) + 1
            return owned.pools[key], _take_over(owned)

    def give_back(self, key: Key) -> list[Pool]:
        """End one lease and return the pools that are over."""
        with self._lock.current():
            owned = self._owned.current()
            if key in owned.leases:
                owned.leases[key] -= 1
            return _take_over(owned)

    def take_all(self) -> list[Pool]:
        """Return every pool and forget all of them."""
        with self._lock.current():
            owned = self._owned.current()
            pools = list(owned.pools.values())
            owned.pools.clear()
            owned.leases.clear()
            return pools


def _take_over(owned: _Owned[Key, Pool]) -> list[Pool]:
    if not owned.pools:
        return []
    newest = max(key.generation for key in owned.pools)
    over = [key for key in owned.pools if key.generation < newest and not owned.leases[key]]
    for key in over:
        del owned.leases[key]
    return [owned.pools.pop(key) for key in over]
