"""Streams of revocations that a test reads line by line, parked as by our server."""

import json
import threading
from collections.abc import Iterator
from typing import Any

from macaroon_cbat.server.parking import PARK, ParkedResponse
from tests.support.resource_server import token_for_service
from tests.support.waiting_followers import WaitingFollowers

SECONDS = 60
ACCEPT = "application/x-ndjson, application/json"


class Stream:
    """One answer of the feed, which may be a stream."""

    def __init__(self, *, can_stream: bool = True) -> None:
        """Begin with a request that was not answered yet."""
        self.parked: ParkedResponse | None = None
        self.answered: list[tuple[str, Any]] = []
        """Status and page of an answer that was not parked."""
        self.head = b""
        self.is_ended = False
        self._can_stream, self._changed, self._data = can_stream, threading.Event(), b""

    def park(self, seconds: float, on_end: Any, holder: str = "") -> ParkedResponse:
        """Park the response as the embedded server does."""
        self.parked = ParkedResponse(seconds, on_end, self._changed.set, can_stream=self._can_stream)
        return self.parked

    def line(self) -> Any:
        """Return the next line, or None at the end of the stream."""
        while b"\r\n" not in self._data:
            self._read()
        size, _, data = self._data.partition(b"\r\n")
        length = int(size, 16)
        text, self._data = data[:length], data[length + 2 :]
        self.is_ended = not length
        assert text.endswith(b"\n") or self.is_ended
        return None if self.is_ended else json.loads(text)

    def _read(self) -> None:
        assert self.parked is not None
        self._changed.clear()
        texts, _ = self.parked.take(is_head=False, is_last=False)
        if not texts:
            assert self._changed.wait(SECONDS)
        elif not self.head:
            self.head, _, self._data = b"".join(texts).partition(b"\r\n\r\n")
        else:
            self._data += b"".join(texts)

    def rest(self) -> list[Any]:
        """Return all lines up to the end."""
        return list(iter(self.line, None))

    def news(self) -> Iterator[str]:
        """Yield the names of the decisions, line by line."""
        for page in iter(self.line, None):
            yield from (value for _, value, _, _ in page["decisions"])


def stream(
    followers: WaitingFollowers,
    client: str = "invoices",
    *,
    token: str | None = None,
    after: str | None = None,
    wait: int = 30,
    accept: str = ACCEPT,
    can_stream: bool = True,
) -> Stream:
    """Ask for a stream, from the newest revocation on unless `after` says so."""
    token = token or token_for_service(followers.service, client)
    after = after or followers.ask(token=token).json["cursor"]
    found, begun = Stream(can_stream=can_stream), list[str]()
    request = followers.request(token, after=after, wait=wait)
    request.headers["Accept"] = accept
    answer = followers.service.app(
        {**request.get_environ(), PARK: found.park}, lambda status, _fields: begun.append(status)
    )
    body = b"".join(answer)
    found.answered = [(status, json.loads(body)) for status in begun]
    return found
