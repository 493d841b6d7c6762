"""The complete requests that wait for a thread, the oldest first."""

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from macaroon_cbat.tls.exchange import Exchange


class RequestQueue:
    """A queue that a request can leave: an abandoned one would keep its connection, and all of its TLS."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Exchange, None] = OrderedDict()
        self._changed = threading.Condition(threading.Lock())
        self._is_over = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, exchange: "Exchange") -> None:
        """Have a thread take this request."""
        with self._changed:
            self._waiting[exchange] = None
            self._changed.notify()

    def withdraw(self, exchange: "Exchange") -> None:
        """Remove a request; one that a thread has taken is left to it."""
        with self._changed:
            self._waiting.pop(exchange, None)

    def take(self) -> "Exchange | None":
        """Remove and return the oldest request, wait for one where there is none; None once it is over."""
        with self._changed:
            while not self._waiting and not self._is_over:
                self._changed.wait()
            return None if self._is_over else self._waiting.popitem(last=False)[0]

    def end(self) -> None:
        """Release the threads that wait."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
