"""Threads that wait for one another, and the moment at which so many do."""

import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

from tests.support.tls_servers import wait_until


def wait_until_in(function: Callable[..., Any], threads: int) -> None:
    """Return once so many threads are in this function and have set its variable `waiting_since`."""
    code: CodeType = function.__code__  # type: ignore[attr-defined] # of every function

    def are_waiting() -> bool:
        found = (frame.f_code is code and "waiting_since" in frame.f_locals for frame in _frames())
        return sum(found) >= threads

    wait_until(are_waiting)


def _frames() -> Iterator[FrameType]:
    """Yield every frame of every thread."""
    for frame in sys._current_frames().values():  # noqa: SLF001 # there is no other way to see who waits
        one: FrameType | None = frame
        while one is not None:
            yield one
            one = one.f_back
