"""The time of requests that wait for a revocation: it passes as they sleep, and no faster."""

import threading
from collections.abc import Callable

import pytest

from macaroon_cbat.service import resource_feeds

LONGEST = 60
"""The seconds after which a test that hangs fails."""


class WaitingClock:
    """A clock that waiting requests read and sleep by, with an act of the test in their first sleep."""

    def __init__(self, act: Callable[[], object]) -> None:
        """Begin at 0; `act` is done once, by the request that sleeps first."""
        self._act: Callable[[], object] | None = act
        self._now = 0.0

    def monotonic(self) -> float:
        """Return the seconds that have passed."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let these seconds pass."""
        act, self._act = self._act, None
        if act is not None:
            act()
        self._now += seconds


class HeldClock:
    """A time that stands still while requests wait, and lets the test see how many do."""

    def __init__(self) -> None:
        """Begin at 0, with none that waits."""
        self._waiting = threading.Semaphore(0)
        self._goes_on = threading.Event()

    def monotonic(self) -> float:
        """Return the time, which is always the same."""
        return 0.0

    def sleep(self, _seconds: float) -> None:
        """Wait until the test lets all go on."""
        self._waiting.release()
        assert self._goes_on.wait(LONGEST)

    def wait_for(self, requests: int) -> None:
        """Wait until so many requests more sleep."""
        for _ in range(requests):
            assert self._waiting.acquire(timeout=LONGEST)

    def is_slept_by_another(self) -> bool:
        """Return True if a request sleeps that was not waited for."""
        return self._waiting.acquire(blocking=False)

    def go_on(self) -> None:
        """Let them go on."""
        self._goes_on.set()


def wait_by(monkeypatch: pytest.MonkeyPatch, clock: WaitingClock | HeldClock) -> None:
    """Let requests wait by this clock for the rest of the test."""
    monkeypatch.setattr(resource_feeds, "time", clock)
