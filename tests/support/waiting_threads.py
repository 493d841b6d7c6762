"""Threads that wait for one another, and the moment at which so many do."""

import sys
import time
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any


def wait_until_in(function: Callable[..., Any], threads: int, name: str = "waiting_since") -> None:
    """Return once so many threads are in this function and have set the variable of this name there."""
    code: CodeType = function.__code__  # type: ignore[attr-defined] # of every function
    while sum(frame.f_code is code and name in frame.f_locals for frame in _frames()) < threads:
        time.sleep(0.01)


def _frames() -> Iterator[FrameType]:
    """Yield every frame of every thread."""
    for frame in sys._current_frames().values():  # noqa: SLF001 # there is no other way to see who waits
        one: FrameType | None = frame
        while one is not None:
            yield one
            one = one.f_back
