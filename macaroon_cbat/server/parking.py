"""Parked responses, for which the embedded server keeps a connection but no thread.

An application that waits for an event calls `park_of(environ)`, keeps the `ParkedResponse` and returns an
empty iterable without calling `start_response`. Its thread is free at once. Later any thread finishes the
response, or begins a stream and writes its parts.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

log = logging.getLogger("macaroon_cbat.tls")

PARK = "macaroon_cbat.park"
"""Environment key under which the embedded server shows its `Park`. No client can write it."""

Fields = Iterable[tuple[str, str]]
"""Names and values of header fields, without Content-Length, Connection and Date."""

STREAM_BYTES = 1 << 22
"""The bytes of one stream that may wait for its reader: one that lets more wait is dropped."""

_LAST_CHUNK = b"0\r\n\r\n"
_claiming = threading.Lock()


class ParkedAnswer(NamedTuple):
    """The response that an application has finished."""

    status: str
    fields: tuple[tuple[str, str], ...]
    body: bytes


class ParkedResponse:
    """One response that waits for an event of its application, in the loop of the server that parked it."""

    __slots__ = (
        "_announce", "_can_stream", "_chunks", "_head", "_line", "_on_end", "_queued_bytes",
        "answer", "is_cut", "seconds", "until",
    )  # fmt: skip

    def __init__(
        self,
        seconds: float,
        on_end: Callable[[], None],
        announce: Callable[[], None],
        *,
        can_stream: bool = False,
    ) -> None:
        """Wait so many seconds; `announce` has the loop look at what is to be sent."""
        self.seconds = seconds
        self.until: float | None = None
        """The end of the wait by the clock of the loop, once it waits."""
        self.answer: ParkedAnswer | None = None
        """The response, or the end of a stream, once there is one."""
        self._can_stream = can_stream
        self.is_cut = False
        """True if a stream cannot go on: it was not finished, or more was written than may wait."""
        self._line = b""
        self._head: ParkedAnswer | None = None
        self._chunks: list[bytes] | None = None
        self._queued_bytes = 0
        self._on_end: Callable[[], None] | None = on_end
        self._announce: Callable[[], None] | None = announce

    # For the application, in any thread

    def add_field(self, name: str, value: str) -> None:
        """Let the header have this field as well, which names the request: others may share all the rest."""
        self._line += f"{name}: {value}\r\n".encode("latin-1")

    def begin(self, status: str, fields: Fields, seconds: float) -> bool:
        """Send this head; parts follow for so many seconds, or until `finish`.

        Return False and send nothing for a request that cannot be answered so: by HEAD or HTTP/1.0. It is
        called once, before the application returns.
        """
        if self._can_stream:
            self.seconds = seconds
            self._head, self._chunks = ParkedAnswer(status, tuple(fields), b""), []
        return self._can_stream

    def write(self, part: bytes) -> None:
        """Send a part of a stream that has begun; after its end, or once the client has gone, do nothing."""
        self._write(chunk_of(part))

    def _write(self, chunk: bytes) -> None:
        with _claiming:
            announce = self._announce
            if self._chunks is None or self.answer is not None or announce is None or self.is_cut:
                return
            self._chunks.append(chunk)
            self._queued_bytes += len(chunk)
            if self._queued_bytes > STREAM_BYTES:
                self.is_cut = True
        announce()

    def finish(self, status: str, fields: Fields, body: bytes) -> None:
        """Answer with this status such as `200 OK`, these fields and this body; any thread may call it.

        The body is the last part of a stream, whose head was sent before. The first call counts. Later ones,
        and those after the client has gone, do nothing.
        """
        with _claiming:
            if self.answer is not None:
                return
            self.answer = ParkedAnswer(status, tuple(fields), body)
            announce = self._announce
        if announce is not None:
            announce()

    # For the loop

    def fail(self) -> None:
        """Answer 503 for an application that does not finish, and cut a stream."""
        self.is_cut = self._chunks is not None
        self.finish(*UNFINISHED)

    @property
    def is_stream(self) -> bool:
        """Return True once a stream has begun."""
        return self._chunks is not None

    def take(self, *, is_head: bool, is_last: bool) -> tuple[list[bytes], bool]:
        """Remove and return what is to be sent now, and whether that ends the response.

        The body is left out for HEAD. `is_last` says that no other response follows over the connection.
        """
        with _claiming:
            answer, chunks = self.answer, self._chunks
            if chunks:
                self._chunks, self._queued_bytes = [], 0
        if chunks is not None:
            ends = [] if answer is None else [chunk_of(answer.body), _LAST_CHUNK]
            return [*self._take_head(is_last=is_last), *chunks, *ends], answer is not None
        if answer is None:
            return [], False
        return [self._with_line(_text(answer, formatdate(usegmt=True), is_head, is_last))], True

    def _take_head(self, *, is_last: bool) -> list[bytes]:
        head, self._head = self._head, None
        return [] if head is None else [self._with_line(_head_text(head, formatdate(usegmt=True), is_last))]

    def _with_line(self, text: bytes) -> bytes:
        status, end, rest = text.partition(b"\r\n")
        return status + end + self._line + rest

    def release(self) -> None:
        """Let go of the connection: an application may keep this longer than it waits."""
        with _claiming:
            self._announce = None
            if self._chunks is not None:
                self._chunks = []

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


class Park(Protocol):
    """The function that parks a response."""

    def __call__(self, seconds: float, on_end: Callable[[], None], holder: str = "") -> ParkedResponse | None:
        """Park the response for so many seconds, after which `on_end` is called, in the loop.

        It is called, too, when the client goes and when the server stops: it must be quick, and may `finish`.
        The client may go before the application has noted that it waits: one that notes it then looks at
        `is_over`. The result is None if no place is left, since other connections need some, or if the
        `holder`, a name that the application gives its client, has half of them: the application answers at
        once. The server answers 503 if an application does not finish within GRACE_SECONDS after that.
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


def write_all(streams: Iterable[ParkedResponse], part: bytes) -> None:
    """Write one part to many streams; it is made into text once."""
    chunk = chunk_of(part)
    for stream in streams:
        stream._write(chunk)  # noqa: SLF001 # of this module


def chunk_of(part: bytes) -> bytes:
    """Return a part as HTTP/1.1 frames it (RFC 9112 7.1); nothing for none, which would be the end."""
    return b"%x\r\n%b\r\n" % (len(part), part) if part else b""


@lru_cache(maxsize=4)
def _text(answer: ParkedAnswer, date: str, is_head: bool, is_last: bool) -> bytes:  # noqa: FBT001  # keys of the cache
    """Return the whole response; the body is left out for HEAD, but not its length."""
    has_body = not answer.status.startswith(("204", "304"))
    length = [("Content-Length", str(len(answer.body)))] if has_body else []
    head = _head_of(answer, date, length, is_last)
    return head + answer.body if has_body and not is_head else head


@lru_cache(maxsize=4)
def _head_text(head: ParkedAnswer, date: str, is_last: bool) -> bytes:  # noqa: FBT001  # the same
    return _head_of(head, date, [("Transfer-Encoding", "chunked")], is_last)


def _head_of(answer: ParkedAnswer, date: str, framing: list[tuple[str, str]], is_last: bool) -> bytes:  # noqa: FBT001
    fields = [*answer.fields, ("Date", date), *framing]
    if is_last:
        fields.append(("Connection", "close"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"HTTP/1.1 {answer.status}\r\n{lines}\r\n".encode("latin-1", "replace")
