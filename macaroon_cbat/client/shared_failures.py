"""Failures of a fetch that several threads wait for: those that waited get the same one."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from macaroon_cbat.errors import MacaroonError


class SharedFailure:
    """The last failure of one kind of fetch, of which one is made at a time."""

    def __init__(self) -> None:
        self._error: MacaroonError | None = None
        self._at = 0.0

    @contextmanager
    def of(self, waiting_since: float) -> Iterator[None]:
        """Make a fetch in this block, or raise the failure of one that ended while this thread waited.

        `waiting_since` is on the clock `time.monotonic`. Threads that each tried anew would wait one after
        the other, and lead a person who refused to as many pages.
        """
        if self._error is not None and self._at > waiting_since:
            raise self._error.with_traceback(None)
        try:
            yield
        except MacaroonError as error:
            self._error, self._at = error, time.monotonic()
            raise
        self._error = None
