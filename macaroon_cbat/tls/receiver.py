"""The bytes of one client that no thread has taken: a request in parts, and those ahead of the next one."""

from collections.abc import Callable

from macaroon_cbat.tls.request import Request


class Receiver:
    """The receiving half of one connection."""

    __slots__ = ("_new_request", "ahead", "request")

    def __init__(self, new_request: Callable[[], Request]) -> None:
        self._new_request = new_request
        self.ahead = b""
        self.request: Request | None = None

    def receive(self, data: bytes) -> Request | None:
        """Return the request if this completes one, or raise UnusableRequest; what follows it is `ahead`."""
        request = self.request = self.request or self._new_request()
        self.ahead = data[request.received(data) :]
        if not request.completed:
            return None
        self.request = None
        return request

    def owes_continue(self) -> bool:
        """Return True once for a client that waits for 100 Continue before it sends its body."""
        if self.request is None or not self.request.owes_continue:
            return False
        self.request.owes_continue = False
        return True

    def take_ahead(self) -> bytes:
        """Remove and return the bytes after the request under way."""
        ahead, self.ahead = self.ahead, b""
        return ahead

    def held_bytes(self) -> int:
        """Return how many bytes of the client are kept here."""
        request_bytes = 0 if self.request is None else self.request.held_bytes()
        return len(self.ahead) + request_bytes

    def discard(self) -> None:
        """Forget everything."""
        self.request = None
        self.ahead = b""
