"""The readiness of a process: whether a balancer should send it requests, and what is in the way if not."""

import logging
import time
from collections.abc import Callable, Mapping
from threading import Thread

from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.files.process_values import ProcessLock

log = logging.getLogger("macaroon_cbat.service")

Problem = str | None
"""A sentence with the remedy; None if all is well."""
Check = Callable[[], Problem]

MEMORY_SECONDS = 1.0
"""Seconds for which an answer is good: a flood of probes must not become a flood of queries."""
PATIENCE_SECONDS = 2.0
"""Seconds after which checks that go on are a problem by themselves: every probe is answered at once then."""


class Readiness:
    """The checks of one process, which run in a thread: a probe is answered even if one of them hangs."""

    def __init__(self, checks: Mapping[str, Check], monotonic: Callable[[], float] = time.monotonic) -> None:
        """Judge by these checks, in their order; each is named in the answer."""
        self._checks, self._monotonic = checks, monotonic
        self._lock = ProcessLock()
        self._round: _Round | None = None
        self.is_alive: Callable[[], bool] = lambda: True
        """Return False if the process answers no requests any more, and must be restarted."""
        self.is_stopping = False
        """True once the process finishes what is under way; a signal handler may set it."""

    def stop(self) -> None:
        """Say from now on that the process is stopping."""
        self.is_stopping = True

    def problems(self) -> dict[str, Problem]:
        """Return the problem of each check, or None, at most MEMORY_SECONDS old."""
        with self._lock.current():
            now, current = self._monotonic(), self._round
            if current is None or (current.is_over and now - current.since >= MEMORY_SECONDS):
                current = self._round = _Round(self._checks, now)
                current.start()
        return current.found_until(PATIENCE_SECONDS - (now - current.since))


class _Round:
    """One run of all checks."""

    def __init__(self, checks: Mapping[str, Check], since: float) -> None:
        self.since, self._checks = since, checks
        self._found: dict[str, Problem] = {}
        self._thread = Thread(target=self._run, name="readiness", daemon=True)
        self.start = self._thread.start

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def found_until(self, seconds: float) -> dict[str, Problem]:
        self._thread.join(max(0.0, seconds))
        found = dict(self._found)
        waiting = f"the check takes longer than {PATIENCE_SECONDS:g} s"
        return {name: found.get(name, waiting) for name in self._checks}

    def _run(self) -> None:
        for name, check in self._checks.items():
            self._found[name] = _judged(check)


def _judged(check: Check) -> Problem:
    try:
        return check()
    except MacaroonError as error:
        return str(error)
    except Exception:
        log.exception("a readiness check failed")
        return "the check failed: its reason is in the log"
