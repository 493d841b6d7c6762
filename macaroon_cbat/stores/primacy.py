"""The proof that a PostgreSQL server is the primary: a commit that its synchronous standby has as well.

A primary that is cut off from its standby cannot know whether that standby was promoted. It still answers
reads, and lacks what is revoked at the new primary. So no read counts unless the server has acknowledged a
commit a moment ago.
"""

from collections.abc import Callable
from threading import Lock

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.files.clock import since_boot

PROVED_SECONDS = 10.0
"""The seconds for which a proof is good: less than tools take to promote a standby by themselves."""

RENEWED_SECONDS = 5.0
"""The age of a proof in seconds at which the next request makes a new one."""

_TOO_LATE = (
    "the proof that the database is the primary is older than it may be: look for a server, or a machine, "
    "that was suspended"
)


class Primacy:
    """The proofs of one process. One thread at a time makes one, while the others go by the last."""

    def __init__(self, prove: Callable[[], None], monotonic: Callable[[], float] = since_boot) -> None:
        """Prove by this function, which raises Unavailable if the server cannot."""
        self._prove = prove
        self._monotonic = monotonic
        self._lock = Lock()
        self._attempts = 0
        self._proved_at = float("-inf")
        self._failure: Unavailable | None = None

    def require(self) -> None:
        """Return if there is a proof that is good, made now if need be. Raises Unavailable."""
        age, waiting_since = self._age(), self._attempts
        if age < RENEWED_SECONDS or not self._lock.acquire(blocking=age >= PROVED_SECONDS):
            return
        try:
            if self._attempts == waiting_since:  # else another thread made one while this one waited
                self._renew()
            if self._age() >= PROVED_SECONDS:
                raise Unavailable(str(self._failure or _TOO_LATE)) from self._failure
        finally:
            self._lock.release()

    def _age(self) -> float:
        return self._monotonic() - self._proved_at

    def _renew(self) -> None:
        begun = self._monotonic()
        try:
            self._prove()
            self._proved_at, self._failure = begun, None
        except Unavailable as error:
            self._failure = error
        finally:
            self._attempts += 1
