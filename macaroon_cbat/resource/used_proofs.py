"""The memory of used DPoP proofs, by which each is good for one request (RFC 9449 11.1)."""

from typing import Protocol

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.files.process_values import ProcessLock
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.resource.proof_table import ProofTable

MOST_PROOFS = 1_000_000
"""Proofs that are remembered at once, in 40 MB: 2,700 new ones a second, each for six minutes."""

_MOST_OF_ALL = 100_000_000


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
    """The proofs that this process, and every process forked after `prepare`, has seen used. Thread-safe.

    Processes that were started otherwise, and other machines, know nothing of them: a proof that was captured
    can be used once more in each, and after a restart, within the minute that it is good for. A full memory
    is Unavailable (503): a proof that is forgotten early could be used again, and only clients with valid
    tokens can fill it.
    """

    announces_blocking = True

    def __init__(self, most: int = MOST_PROOFS) -> None:
        """Remember about this many at once, or raise SettingsError."""
        if not 1 <= most <= _MOST_OF_ALL:
            raise SettingsError(f"most is {most!r}: remember 1 to {_MOST_OF_ALL} proofs, in 40 bytes each")
        self._most = most
        self._table: ProofTable | None = None
        self._lock = ProcessLock()

    def prepare(self) -> "RememberedProofs":
        """Return itself, with the memory that processes forked from now on share."""
        with self._lock.current():
            if self._table is None:
                self._table = ProofTable(self._most)
        return self

    def add(self, name: bytes, until: EpochSeconds, now: EpochSeconds, /) -> bool:
        """Return True for a proof that is new; raise Unavailable while the memory is full of live ones."""
        self.prepare()
        assert self._table is not None
        with self._lock.current():
            found = self._table.add(name, until, now)
        if found == "full":
            raise Unavailable(
                f"the memory of {self._most} used DPoP proofs is full: give the guard used_proofs="
                "RememberedProofs(most=...) with more, or start more processes"
            )
        return found == "new"
