"""Signals as function calls: SIGTERM, SIGINT and SIGHUP."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def calling_on_signals(
    call: Callable[[], None], signals: tuple[signal.Signals, ...] = _STOP_SIGNALS
) -> Iterator[None]:
    """Call `call` on these signals, which the main thread alone has; do nothing in another one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: call()) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def hearing_hangups(hear: Callable[[], None] = lambda: None) -> AbstractContextManager[None]:
    """Call `hear` on SIGHUP, which ends no process meanwhile; a forked child calls it, too.

    This holds even if SIGHUP was ignored before, as by nohup: `hear` does not end the process either.
    """
    return calling_on_signals(hear, (signal.SIGHUP,))


@contextmanager
def holding_signals_back() -> Iterator[None]:
    """Delay SIGTERM and SIGINT, so that none comes between a fork and the record of its process id."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_signals_to_the_parent() -> None:
    """Undo in a new child what `holding_signals_back` did, and ignore SIGINT there.

    A terminal sends SIGINT to parent and children. Only the parent acts on it: a second stop signal would
    make a child stop at once.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
