"""The memory of used DPoP proofs, by which each is good for one request (RFC 9449 11.1)."""

from typing import Protocol

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.files.process_values import ProcessLock
from macaroon_cbat.macaroon.claims import EpochSeconds

MOST_PROOFS = 250_000
"""Proofs that a process remembers at once, some 25 MB: 2,700 a second, with the default clock skew."""

_NAME_BYTES = 16


class UsedProofs(Protocol):
    """The proofs that were used, in a memory that may be shared by all processes of a resource server.

    One that asks another machine announces that with `about_to_block` and has `announces_blocking = True`;
    an event loop calls any other one in a thread.
    """

    def add(self, name: bytes, until: EpochSeconds, now: EpochSeconds, /) -> bool:
        """Return True for a proof that is new, and remember its 32-byte name until this second has passed.

        Of two calls with one name at the same moment, one returns True. Raises Unavailable if that cannot be
        told.
        """


class RememberedProofs:
    """The proofs that this process has seen used. Another process knows nothing of them. Thread-safe.

    A proof that was captured can so be used once in each process of a resource server, and once more after
    each restart, within the minute that it is good for. A full memory is Unavailable (503): a proof that is
    forgotten early could be used again, and only clients with valid tokens can fill it.
    """

    announces_blocking = True

    def __init__(self, most: int = MOST_PROOFS) -> None:
        """Remember this many at once."""
        self._most = most
        self._names: set[bytes] = set()
        self._ending: dict[EpochSeconds, list[bytes]] = {}
        self._swept_at = EpochSeconds(0)
        self._lock = ProcessLock()

    def add(self, name: bytes, until: EpochSeconds, now: EpochSeconds, /) -> bool:
        """Return True for a proof that is new; raise Unavailable while the memory is full of live ones."""
        name = name[:_NAME_BYTES]
        with self._lock.current():
            if now > self._swept_at:
                self._sweep(now)
            if name in self._names:
                return False
            if len(self._names) >= self._most:
                raise Unavailable(
                    f"the memory of {self._most} used DPoP proofs is full: give the guard used_proofs="
                    "RememberedProofs(most=...) with more, or start more processes"
                )
            self._names.add(name)
            self._ending.setdefault(until, []).append(name)
        return True

    def _sweep(self, now: EpochSeconds) -> None:
        self._swept_at = now
        for second in [second for second in self._ending if second < now]:
            self._names.difference_update(self._ending.pop(second))
