"""What says so before it waits for another machine, so that an event loop need not wait as well."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import local

_may_not_wait = ContextVar("macaroon_cbat_may_not_wait", default=False)
_thread = local()


class MustBlock(Exception):
    """Ends an attempt that would have to wait; it never leaves this package."""


def about_to_block() -> None:
    """Raise MustBlock where waiting would hold up an event loop; call it before anything that waits."""
    if _may_not_wait.get():
        raise MustBlock


@contextmanager
def never_blocking() -> Iterator[None]:
    """Let what calls `about_to_block` inside the block raise MustBlock instead of waiting."""
    token = _may_not_wait.set(True)
    try:
        yield
    finally:
        _may_not_wait.reset(token)


def announces_blocking(source: object) -> bool:
    """Tell whether a verifier, or a source of keys or revocations, promises to call `about_to_block`."""
    return getattr(source, "announces_blocking", False) is True


def mark_spare_thread() -> None:
    """Mark this thread as one that only waits for other machines: the application's threads stay free."""
    _thread.is_spare = True


def is_spare_thread() -> bool:
    """Return True in a thread that `mark_spare_thread` was called in."""
    return getattr(_thread, "is_spare", False)
