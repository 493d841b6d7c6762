"""Bounds on the requests of a process that wait for the service at once: a silent service holds few."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.files.process_values import PerProcess
from macaroon_cbat.resource.blocking import is_spare_thread

PATIENCE_SECONDS = 0.5
"""Seconds for which a request waits for a place while the service answers others."""


class Places:
    """The places for requests to one service: one while it is silent, to find out when it answers.

    A request without a place is refused. It waits for one only while answers keep coming, and then for
    PATIENCE_SECONDS at most. Threads that only wait for other machines have a place each.
    """

    def __init__(self, most: int, service: str) -> None:
        """Let `most` requests of each process wait for this service at once."""
        self._most = most
        self._service = service
        self._taken: PerProcess[_Taken] = PerProcess(_Taken)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place, or raise Unavailable. An Unavailable that leaves the block means silence."""
        taken = self._taken.current()
        taken.take(math.inf if is_spare_thread() else self._most, self._service)
        is_silent = False
        try:
            yield
        except Unavailable:
            is_silent = True
            raise
        finally:
            taken.give_back(is_silent=is_silent)


class _Taken:
    """The places that are taken in one process."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._count = 0
        self._is_silent = False
        self._heard_at = 0.0

    def take(self, most: float, service: str) -> None:
        with self._changed:
            if self._count == 0:
                self._heard_at = time.monotonic()  # silence can only be told from here on
            patience = self._heard_at + PATIENCE_SECONDS - time.monotonic()
            if not self._is_free(most) and not self._is_silent and patience > 0:
                self._changed.wait_for(lambda: self._is_free(most) or self._is_silent, patience)
            if not self._is_free(most):
                state = "does not answer" if self._is_silent else "is slow to answer"
                raise Unavailable(f"{service} {state}, and {self._count} requests wait for it already")
            self._count += 1

    def give_back(self, *, is_silent: bool) -> None:
        with self._changed:
            self._count -= 1
            self._is_silent = is_silent
            self._heard_at = self._heard_at if is_silent else time.monotonic()
            self._changed.notify_all()

    def _is_free(self, most: float) -> bool:
        return self._count < (1 if self._is_silent else most)
