"""Advisory locks (flock) that processes take on an open file or folder.

A lock belongs to the open description, so a forked child shares it with its parent.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(descriptor: int, *, waits: bool = True) -> Iterator[None]:
    """Hold the lock of an open file or folder while the block lasts.

    Without `waits`, raises BlockingIOError if another process holds it.
    """
    if not try_lock(descriptor):
        if not waits:
            raise BlockingIOError
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def locked_file(file: Path) -> Iterator[None]:
    """Hold the lock of a file while the block lasts; make the file, mode 0600, if it is missing."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with locked(descriptor):
            yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Take the lock until every copy of the descriptor is closed; return False if another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
