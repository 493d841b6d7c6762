"""The announcement of calls that block, by which an event loop judges most requests itself.

An event loop judges a request in place, which takes microseconds, unless another machine has to answer first.
The code does not split at that point. Instead, a call that is about to block announces it with
`about_to_block`. Under `never_blocking` the announcement raises MustBlock, which ends the attempt, and the
event loop runs the whole of it once more in a thread of the `blocking_pool`, where it may block.

Two conditions make the second attempt safe. Nothing that precedes the announcement has an effect: audit
lines, counters and warnings are written when a request is judged, not on the way. And a verifier, or a source
of keys or revocations, has to promise the announcement with `announces_blocking = True`; the event loop runs
any other one in a thread at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import local

_may_not_block = ContextVar("macaroon_cbat_may_not_block", default=False)
_thread = local()


class MustBlock(Exception):
    """The end of an attempt that would block; it never leaves this package."""


def about_to_block() -> None:
    """Announce a call that blocks, before it begins. Raises MustBlock if it would block an event loop."""
    if _may_not_block.get():
        raise MustBlock


@contextmanager
def never_blocking() -> Iterator[None]:
    """Let `about_to_block` raise MustBlock inside the block."""
    token = _may_not_block.set(True)
    try:
        yield
    finally:
        _may_not_block.reset(token)


def announces_blocking(source: object) -> bool:
    """Return True if a verifier, or a source of keys or revocations, promises to call `about_to_block`."""
    return getattr(source, "announces_blocking", False) is True


def mark_spare_thread() -> None:
    """Mark this thread as one of the pool: however many of them block, the application's own stay free."""
    _thread.is_spare = True


def is_spare_thread() -> bool:
    """Return True in a thread that `mark_spare_thread` was called in."""
    return getattr(_thread, "is_spare", False)
