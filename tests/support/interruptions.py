"""Signals that end what the main thread waits for."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.tls_servers import wait_until


class Signalled(Exception):
    """The main thread was interrupted."""


@contextmanager
def signalled(is_due: Callable[[], bool], first: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Raise Signalled in the block, in the main thread, once it is due; call `first` in the handler."""

    def interrupt(*_: object) -> None:
        first()
        raise Signalled

    main = threading.get_ident()

    def send() -> None:
        wait_until(is_due)
        signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)
