"""The connection of a proxy: HTTP/1.1 as httptools parses it, answered in order and under deadlines.

It is a protocol of its own, not an ASGI application, for its bounds on headers, seconds and connections, and
because it answers twice as many questions (scripts/bench).
"""

import asyncio
from collections import deque
from typing import cast

from macaroon_cbat.certificate.address import plain_text
from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.errors.extras import extra
from macaroon_cbat.gateway.decision import Untrusted
from macaroon_cbat.gateway.dispatcher import Dispatcher
from macaroon_cbat.gateway.framing import check_framing
from macaroon_cbat.gateway.http_text import answer_text, error_text
from macaroon_cbat.gateway.question import HttpQuestion
from macaroon_cbat.resource.responses import Answer

with extra("gateway"):
    import httptools

MAX_REQUEST_BYTES = 64 * 1024
"""The length of one question, which has no body: certificates travel in headers."""

REQUEST_SECONDS = 10.0
"""The time in which a question must be complete, and its answer be taken; proxies need milliseconds."""

UNPROVEN_SECONDS = 10.0
PROVEN_SECONDS = 3700.0
"""The time for which a connection may be idle: until a question got a 200, and after that.

Envoy keeps an idle connection for an hour, and fails a request if it finds the connection closed then. So the
gateway keeps connections of trusted proxies for longer.
"""

LINGER_SECONDS = 2.0
"""The time for which a proxy may send on after its last answer, once the kernel has that. What comes is not
read as a question: left unread, it would make the kernel send a reset, which takes the answer with it."""

_MAX_WAITING = 32  # questions sent ahead on one connection; proxies send the next one after an answer


class HttpConnection(asyncio.Protocol):
    """One connection. It answers its questions one after the other, even if several come in one piece."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        connections: "dict[HttpConnection, None]",
        *,
        is_unix_socket: bool,
        limit: int,
    ) -> None:
        """Decide questions by the dispatcher; be one of `connections` while open."""
        self._dispatcher, self._connections, self._limit = dispatcher, connections, limit
        self._is_unix_socket = is_unix_socket
        self._address: str | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._question: HttpQuestion | None = None
        self._unfinished = 0
        self._waiting: deque[tuple[HttpQuestion, bool]] = deque()
        self._is_answering = self._is_stopping = self._is_deaf = self._is_old = False
        self._is_ending = self._is_admitted = False
        self._since, self._idle_seconds = 0.0, UNPROVEN_SECONDS
        self._taken_since: float | None = None

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin. Beyond the limit of connections, drop the oldest one that has proven nothing."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, of no such base
        self._now = asyncio.get_running_loop().time
        self._since = self._now()
        if not self._is_unix_socket:
            peer = transport.get_extra_info("peername")
            self._address = plain_text(peer[0]) if peer else None
        self._connections[self] = None  # before the count: the new connection itself may be the one to go
        if len(self._connections) > self._limit:
            self._make_room()

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the questions that wait."""
        self._is_deaf = True
        self._waiting.clear()
        self._connections.pop(self, None)

    def data_received(self, data: bytes) -> None:
        """Read on. Answer 400 to a request that is no HTTP or has a body, 431 to one that is too long.

        Nothing is read after a refusal or after the last request, where the parser itself would go on.
        """
        if self._is_deaf:
            return
        is_first = not self._unfinished and not self._is_answering
        if not self._unfinished:
            self._since = self._now()
        if is_first and (known := self._dispatcher.known(data, self._address)) is not None:
            self._write(known, is_head=False, is_last=False)
            return
        self._is_admitted = False
        self._parse(data)
        if is_first and self._is_admitted and self._question and not (self._unfinished or self._is_deaf):
            self._dispatcher.remember(data, self._question)

    def _parse(self, data: bytes) -> None:
        self._unfinished += len(data)  # before the parser, which sets it to 0 at the end of a request
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # it was answered as any other request, as the last one
        except httptools.HttpParserError:
            self._refuse(400)
            return
        if self._unfinished > MAX_REQUEST_BYTES:
            self._refuse(431)

    def _make_room(self) -> None:
        """Close the oldest connection without a question that got a 200: trusted proxies keep theirs."""
        next((one for one in self._connections if one.is_unproven()), self).drop()

    def pause_writing(self) -> None:
        """Read no further questions while the proxy does not take its answers."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read questions again."""
        self._transport.resume_reading()

    # What the parser calls

    def on_message_begin(self) -> None:
        """Begin a request, with a deadline of its own even if it came in one piece with another."""
        self._target, self._fields, self._question = b"", [], None
        if not self._unfinished:
            self._since = self._now()
            self._unfinished = 1

    def on_url(self, piece: bytes) -> None:
        """Take a piece of the request target."""
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Take the question now: a field that comes later is a trailer, not a header (RFC 9110 6.5.1)."""
        connection = RawConnection(self._fields, address=self._address, is_unix_socket=self._is_unix_socket)
        version = self._parser.get_http_version()
        check_framing(version, connection)
        self._is_old = version != "1.1"
        method = self._parser.get_method().decode("ascii")
        self._question = HttpQuestion(connection, method, self._target.decode("latin-1"))

    def on_message_complete(self) -> None:
        """Answer the request, after those before it."""
        if self._is_deaf or self._question is None:
            return
        self._unfinished = 0
        is_last = self._is_old or not self._parser.should_keep_alive() or self._parser.should_upgrade()
        self._is_deaf = is_last
        if not self._is_answering:
            self._answer(self._question, is_last=is_last)
            return
        self._waiting.append((self._question, is_last))
        if len(self._waiting) > _MAX_WAITING:
            self._transport.abort()

    # Answering

    def _answer(self, question: HttpQuestion, *, is_last: bool) -> None:
        decision = self._dispatcher.at_once(question)
        if decision is not None:
            self._write(decision, is_head=question.method == "HEAD", is_last=is_last)
            return
        self._is_answering = True
        self._waiter = asyncio.get_running_loop().create_task(self._answer_later(question, is_last=is_last))

    async def _answer_later(self, question: HttpQuestion, *, is_last: bool) -> None:
        """Write the answer once the service has answered, then those to the questions that came meanwhile."""
        decision = await self._dispatcher.after_waiting(question)
        self._is_answering = False
        if self._transport.is_closing():
            return
        self._write(decision, is_head=question.method == "HEAD", is_last=is_last)
        while self._waiting and not self._is_answering:
            question, is_last = self._waiting.popleft()
            self._answer(question, is_last=is_last)

    def _write(self, decision: Answer | Untrusted, *, is_head: bool, is_last: bool) -> None:
        answer = decision.answer if isinstance(decision, Untrusted) else decision
        if answer.status == 200:
            self._is_admitted = True
            self._idle_seconds = PROVEN_SECONDS
        ends = is_last or (self._is_stopping and not self._waiting)
        self._transport.write(answer_text(answer, is_head=is_head, is_last=ends))
        if ends:
            self._end()

    def _refuse(self, status: int) -> None:
        """Answer with this status, or with none beside an answer under way, and end."""
        if self._is_deaf:
            return
        if not self._is_answering:
            self._transport.write(error_text(status))
            self._end()
            return
        self._is_deaf = True
        self._transport.close()

    def _end(self) -> None:
        """Send the end behind the last answer. The proxy closes the connection, or `sweep` does."""
        self._is_deaf = self._is_ending = True
        self._transport.write_eof()

    # What the worker and other connections call

    def is_unproven(self) -> bool:
        """Return True while no question of this connection has got a 200."""
        return self._idle_seconds == UNPROVEN_SECONDS

    def drop(self) -> None:
        """Close at once."""
        self._connections.pop(self, None)
        self._transport.abort()

    def sweep(self, now: float) -> None:
        """Close if a request is not complete or an answer not taken in time, or if nothing comes at all."""
        if self._is_answering:
            return
        unsent = self._transport.get_write_buffer_size()
        if self._is_ending and not unsent:
            self._taken_since = self._taken_since or now
            if now - self._taken_since > LINGER_SECONDS:
                self._transport.abort()
            return
        is_stuck = self._unfinished or unsent or self._transport.is_closing()
        if now - self._since > (REQUEST_SECONDS if is_stuck else self._idle_seconds):
            self._transport.abort()

    def finish(self) -> None:
        """End after the answers to the questions that have come, or now if there are none."""
        self._is_stopping = True
        if not self._unfinished and not self._is_answering:
            self._is_deaf = True
            self._transport.close()
