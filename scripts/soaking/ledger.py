"""The ledger of the soak: what was acknowledged, what was let in, and what must not have been."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

SOON = 2.0
"""Seconds after which a revocation usually has reached the resource server."""


@dataclass
class Ledger:
    """Counts of outcomes, and the revocations with the time of their acknowledgment."""

    staleness: float
    counts: Counter[str] = field(default_factory=Counter)
    revoked: dict[str, tuple[str, float]] = field(default_factory=dict)
    """The token and the time of each acknowledged revocation, by its identifier (`jti`)."""
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        """Count an outcome."""
        with self._lock:
            self.counts[what] += 1

    def note(self, text: str) -> None:
        """Write down what happened, with its time."""
        self.notes.append(f"{time.monotonic() - self.started:7.1f} s  {text}")

    def judge(self, what: str, status: int, *, since: float | None = None) -> None:
        """Count an answer to a request that must be refused: always, or from a while after `since` on."""
        self.count(f"{what}: {status}")
        if status != 200:
            return
        age = None if since is None else time.monotonic() - since
        if age is None or age > self.staleness + 5:
            self.wrong.append(f"{what} was let in{'' if age is None else f' after {age:.1f} s'}")
        elif age > SOON:
            self.count(f"{what}: let in after more than {SOON:.0f} s, while feeds were away")

    def take_back(self, jti: str, token: str) -> None:
        """Write down an acknowledged revocation."""
        with self._lock:
            self.revoked[jti] = token, time.monotonic()

    def a_revoked(self, place: float) -> tuple[str, float] | None:
        """Return one of the latest hundred revocations: the one at this place, from 0 to 1."""
        with self._lock:
            latest = list(self.revoked.values())[-100:]
        return latest[int(place * len(latest))] if latest else None
