"""The announcement of calls that block, by which an event loop judges most requests itself.

An event loop judges a request in place, which takes microseconds, unless another machine has to answer first.
The code does not split at that point. Instead, a call that is about to block announces it with
`about_to_block`. Under `NeverBlocking` the announcement raises MustBlock, which ends the attempt, and the
event loop runs the whole of it once more in a thread of the `blocking_pool`, where it may block.

Two conditions make the second attempt safe. Nothing that precedes the announcement has an effect: audit
lines, counters and warnings are written when a request is judged, not on the way. And a verifier, or a source
of keys or revocations, has to promise the announcement with `announces_blocking = True`; the event loop runs
any other one in a thread at once.
"""

from contextvars import ContextVar, Token
from threading import local

_may_not_block = ContextVar("macaroon_cbat_may_not_block", default=False)
_thread = local()


class MustBlock(Exception):
    """The end of an attempt that would block; it never leaves this package."""


def about_to_block() -> None:
    """Announce a call that blocks, before it begins. Raises MustBlock if it would block an event loop."""
    if _may_not_block.get():
        raise MustBlock


class NeverBlocking:
    """A block inside which `about_to_block` raises MustBlock; a generator would cost three times as much."""

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        """Begin."""
        self._before: Token[bool] = _may_not_block.set(True)

    def __exit__(self, *_: object) -> None:
        """Let calls block again."""
        _may_not_block.reset(self._before)


def announces_blocking(source: object) -> bool:
    """Return True if a verifier, or a source of keys or revocations, promises to call `about_to_block`."""
    return getattr(source, "announces_blocking", False) is True


def mark_spare_thread() -> None:
    """Mark this thread as one of the pool: however many of them block, the application's own stay free."""
    _thread.is_spare = True


def is_spare_thread() -> bool:
    """Return True in a thread that `mark_spare_thread` was called in."""
    return getattr(_thread, "is_spare", False)
