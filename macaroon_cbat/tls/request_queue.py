"""The complete requests that wait for a thread, the oldest first."""

from collections import OrderedDict
from contextlib import suppress
from queue import Empty, SimpleQueue

from macaroon_cbat.tls.exchange import Exchange


class RequestQueue:
    """A queue that a request can leave: an abandoned one would keep its connection and its TLS in memory.

    Signals stand for requests in a SimpleQueue, for which a thread waits without a lock that the loop takes.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[Exchange, None] = OrderedDict()
        self._signals: SimpleQueue[None] = SimpleQueue()
        self._is_over = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, exchange: Exchange) -> None:
        """Have a thread take this request."""
        self._waiting[exchange] = None
        self._signals.put(None)

    def withdraw(self, exchange: Exchange) -> bool:
        """Remove a request and its signal; return False for one that a thread has taken: it is left to it."""
        if self._waiting.pop(exchange, exchange) is not None:
            return False
        with suppress(Empty):
            # A thread that has the signal already finds nothing and waits for the next.
            self._signals.get_nowait()
        return True

    def take(self) -> Exchange | None:
        """Remove and return the oldest request, once there is one; None after `end`."""
        while True:
            self._signals.get()
            if self._is_over:
                return None
            with suppress(KeyError):
                return self._waiting.popitem(last=False)[0]

    def serve(self) -> None:
        """Run the requests in the calling thread until it is over."""
        while (exchange := self.take()) is not None:
            exchange.run()

    def end(self, threads: int) -> None:
        """Let so many threads return from `serve`."""
        self._is_over = True
        for _ in range(threads):
            self._signals.put(None)
