"""Parked responses, for which the embedded server keeps a connection but no thread.

An application that waits for an event calls `park_of(environ)`, keeps the `ParkedResponse` and returns an
empty iterable without calling `start_response`. Its thread is free at once. Later any thread finishes the
response.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from functools import lru_cache
from typing import Any, NamedTuple

log = logging.getLogger("macaroon_cbat.tls")

PARK = "macaroon_cbat.park"
"""Environment key under which the embedded server shows its `Park`. No client can write it."""

Fields = Iterable[tuple[str, str]]
"""Names and values of header fields, without Content-Length, Connection and Date."""

_claiming = threading.Lock()


class ParkedAnswer(NamedTuple):
    """The response that an application has finished."""

    status: str
    fields: tuple[tuple[str, str], ...]
    body: bytes


class ParkedResponse:
    """One response that waits for an event of its application, in the loop of the server that parked it."""

    __slots__ = ("_announce", "_on_end", "answer", "seconds")

    def __init__(self, seconds: float, on_end: Callable[[], None], announce: Callable[[], None]) -> None:
        """Wait so many seconds; `announce` has the loop look at `answer`."""
        self.seconds = seconds
        self.answer: ParkedAnswer | None = None
        """The response, once there is one."""
        self._on_end: Callable[[], None] | None = on_end
        self._announce = announce

    def finish(self, status: str, fields: Fields, body: bytes) -> None:
        """Answer with this status such as `200 OK`, these fields and this body; any thread may call it.

        The first call counts. Later ones, and those after the client has gone, do nothing.
        """
        with _claiming:
            if self.answer is not None:
                return
            self.answer = ParkedAnswer(status, tuple(fields), body)
        self._announce()

    def release(self) -> None:
        """Let go of the connection: an application may keep this longer than it waits."""
        self._announce = _announce_nothing

    @property
    def is_over(self) -> bool:
        """Return True once the application was told that the wait is over."""
        return self._on_end is None

    def end_wait(self) -> None:
        """Tell the application once that the wait is over without its answer, if it has given none.

        The server calls this when the time is over, the client has gone, or the server stops.
        """
        with _claiming:
            on_end, self._on_end = self._on_end, None
        if on_end is None or self.answer is not None:
            return
        try:
            on_end()
        except Exception:
            log.exception("the application failed to end a wait")


def _announce_nothing() -> None:
    pass


Park = Callable[[float, Callable[[], None]], ParkedResponse | None]
"""Park the response to a request for so many seconds, after which the second argument is called, in the loop.

It is called, too, when the client goes and when the server stops: it must be quick, and may call `finish`.
The client may go before the application has noted that it waits: one that notes it then looks at `is_over`.
The result is None if no place is left, since other connections need some: the application answers at once.
The server answers 503 by itself if an application does not finish within GRACE_SECONDS after that.
"""

GRACE_SECONDS = 5.0


UNFINISHED = (
    "503 Service Unavailable",
    (("Content-Type", "application/json"), ("Cache-Control", "no-store")),
    b'{"error":"temporarily_unavailable","error_description":"the server did not finish this response"}',
)
"""The answer of the server to a client whose application does not finish."""


def park_of(environ: Mapping[str, Any]) -> Park | None:
    """Return the function that parks the response to this request, or None if the server is not ours."""
    found: Park | None = environ.get(PARK)
    return found


def finish_all(answers: Iterable[tuple[ParkedResponse, str, Fields, bytes]]) -> None:
    """Finish many responses: response, status, fields and body of each.

    Responses with the very same fields and body are made into text once.
    """
    for parked, status, fields, body in answers:
        parked.finish(status, fields, body)


def answer_text(answer: ParkedAnswer, *, is_head: bool, is_last: bool) -> bytes:
    """Return the whole HTTP/1.1 response; the body is left out for HEAD, but not its length."""
    return _text(answer, formatdate(usegmt=True), is_head, is_last)


@lru_cache(maxsize=4)
def _text(answer: ParkedAnswer, date: str, is_head: bool, is_last: bool) -> bytes:  # noqa: FBT001  # keys of the cache
    has_body = not answer.status.startswith(("204", "304"))
    fields = [*answer.fields, ("Date", date)]
    if has_body:
        fields.append(("Content-Length", str(len(answer.body))))
    if is_last:
        fields.append(("Connection", "close"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    head = f"HTTP/1.1 {answer.status}\r\n{lines}\r\n".encode("latin-1", "replace")
    return head + answer.body if has_body and not is_head else head
