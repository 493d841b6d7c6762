"""Values that belong to one process: a forked child makes its own."""

import os
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")
Process = tuple[int, int]
"""Names one process among its ancestors: the process id, and how often Python forked before it."""

forks = 0
"""The number of forks on the way to this process: cheaper to read than the process id."""


def _count_fork() -> None:
    global forks  # noqa: PLW0603
    forks += 1


# A process id may be that of an ancestor that has ended; a server that forks in C may call no hook.
os.register_at_fork(after_in_child=_count_fork)


def this_process() -> Process:
    """Return the identity of this process, which none of its ancestors has."""
    return os.getpid(), forks


class PerProcess(Generic[Value]):
    """One value for each process, made at its first use. Thread-safe.

    The value of an ancestor is neither used nor closed: the ancestor goes on with it.
    """

    __slots__ = ("_make", "_values")

    def __init__(self, make: Callable[[], Value]) -> None:
        """Make values by this function, which is called twice if two threads need the first value at once."""
        self._make = make
        self._values: dict[Process, Value] = {}

    def current(self) -> Value:
        """Return the value of this process."""
        process = this_process()
        try:
            return self._values[process]
        except KeyError:
            return self._values.setdefault(process, self._make())

    def inherited(self) -> list[Value]:
        """Return the values of this process's ancestors."""
        process = this_process()
        return [value for owner, value in list(self._values.items()) if owner != process]


class ProcessLock(PerProcess[Lock]):
    """One lock for each process: a forked child's is open even if a thread held the parent's."""

    __slots__ = ()

    def __init__(self) -> None:
        """Begin with an open lock."""
        super().__init__(Lock)
