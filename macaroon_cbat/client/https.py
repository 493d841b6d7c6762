"""HTTPS connections to a service, with exchanges that end in time and answers that are never mixed up.

A connection serves one exchange at a time and belongs to one process. It is kept only after one whole
answer of status 200, and used again only if nothing more has arrived by then. Not checked: an unasked
second answer that arrives later still. The service, and a proxy before it, must not send one.
"""

import ssl
import weakref
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlencode, urlsplit

from macaroon_cbat.client.answer_lines import LINES, is_in_lines, lines_of
from macaroon_cbat.client.line import Line, Secured
from macaroon_cbat.client.network_failures import CA_OPTIONS, failure_in_words
from macaroon_cbat.client.sockets import Deadline, Dial, connected
from macaroon_cbat.errors import Unavailable

_MOST_KEPT = 32
_AT_ONCE_SECONDS = 2.0
"""The seconds within which a kept connection that ends was closed before the request came."""
_TOLD = ("Date", "Age", "WWW-Authenticate", "DPoP-Nonce")
_MOST_FRAMING = 256 * 1024
"""Bytes of an answer's header and framing; as many again as its body may have come on top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsRequest:
    """One request to the service, and the bounds of its answer.

    `timeout` is the number of seconds for each wait, `longest` for the whole exchange, by default `timeout`
    as well; `limit` is the greatest number of bytes of the answer's body. A request that `is_repeatable` is
    sent again when the service has just closed the kept connection that it was sent over.
    """

    method: str
    url: str
    timeout: float
    limit: int
    longest: float | None = None
    query: Mapping[str, str] | None = None
    form: Mapping[str, str | tuple[str, ...]] | None = None
    """The parameters; one with several values is repeated."""
    json: bytes | None = None
    authorization: str | None = None
    further: Mapping[str, str] = field(default_factory=dict)
    is_repeatable: bool = True
    line_seconds: float | None = None
    """The number of seconds in which each line must come of an answer in lines, if one is asked for."""

    def target(self) -> str:
        """Return the request target (RFC 9112 3.2.1)."""
        parts = urlsplit(self.url)
        query = "&".join(part for part in (parts.query, urlencode(self.query or {})) if part)
        return (parts.path or "/") + (f"?{query}" if query else "")

    def body(self) -> bytes | None:
        """Return the JSON or the form's text, or None for a request without a body."""
        return self.json if self.form is None else urlencode(self.form, doseq=True).encode()

    def headers(self) -> dict[str, str]:
        """Return the header fields beyond those that every request has."""
        accepted = "application/json" if self.line_seconds is None else f"{LINES}, application/json"
        fields = {"Accept": accepted, **self.further}
        if self.form is not None:
            fields["Content-Type"] = "application/x-www-form-urlencoded"
        elif self.json is not None:
            fields["Content-Type"] = "application/json"
        return fields if self.authorization is None else {**fields, "Authorization": self.authorization}


@dataclass(frozen=True, slots=True)
class HttpsAnswer:
    """The whole answer to one request; `challenge` is its WWW-Authenticate field, `nonce` its DPoP-Nonce.

    An answer in lines has no body: `lines` yields each as it comes, and raises Unavailable if it does not.
    """

    status: int
    body: bytes
    date: str | None
    age: str | None
    challenge: str | None
    nonce: str | None = None
    lines: Generator[bytes, None, None] | None = None


class AnswerTooLong(Unavailable):
    """The body of an answer is longer than the request's limit."""

    def __init__(self, url: str, status: int, limit: int) -> None:
        super().__init__(f"{url} answered {status} with more than {limit} bytes")
        self.answered = status


class Connections:
    """Connections made with one TLS context, kept between exchanges. Thread-safe; of one process only."""

    def __init__(self, context: ssl.SSLContext, dial: Dial = connected, ca_remedy: str = CA_OPTIONS) -> None:
        """Connect with this context over TCP connections that `dial` makes.

        `ca_remedy` is what to do about a server's certificate of an unknown CA, for messages.
        """
        self._context, self._ca_remedy = context, ca_remedy
        self._context.set_alpn_protocols(["http/1.1"])
        self._context.sslsocket_class = Secured
        self._dial = dial
        self._kept: deque[Line] = deque()
        self._is_over = False
        weakref.finalize(self, _close, self._kept)

    def exchange(self, request: HttpsRequest) -> HttpsAnswer:
        """Return the answer, or raise Unavailable if no whole one of at most `limit` bytes comes.

        Redirects are not followed: credentials stay with the endpoint they are meant for. Passwords that
        the environment or a .netrc names are not used. An answer that is too long raises AnswerTooLong.
        """
        wait = request.timeout
        deadline = Deadline(wait, wait if request.longest is None else request.longest)
        try:
            answer = self._ask(request, deadline)
        except (OSError, HTTPException, ValueError) as error:
            raise no_answer(request.url, error, self._ca_remedy) from error
        if len(answer.body) > request.limit:
            raise AnswerTooLong(request.url, answer.status, request.limit)
        return answer

    def end(self) -> None:
        """Close the connections that no exchange uses now, the others after their exchange."""
        self._is_over = True
        _close(self._kept)

    def _ask(self, request: HttpsRequest, deadline: Deadline) -> HttpsAnswer:
        place = urlsplit(request.url).netloc
        if request.is_repeatable and (kept := self._take(place)) is not None:
            kept.deadline = deadline
            try:
                return self._over(kept, request)
            except (ConnectionError, ssl.SSLZeroReturnError, ssl.SSLEOFError):
                if deadline.spent() > _AT_ONCE_SECONDS:
                    raise  # a request that waits was cut: the caller pauses, as thousands of others do
            # The service closed it at this very moment, and the request may be sent twice.
        return self._over(self._opened(request.url, place, deadline), request)

    def _over(self, line: Line, request: HttpsRequest) -> HttpsAnswer:
        """Send the request over this line; keep the line only after one whole answer of status 200."""
        is_whole, lines, line.most = False, None, _MOST_FRAMING + 2 * request.limit
        try:
            line.http.request(request.method, request.target(), request.body(), request.headers())
            response = line.http.getresponse()
            if request.line_seconds is not None and is_in_lines(response):
                lines = self._lines(line, response, request)
                content = b""
            else:
                with response:
                    content = _content_of(response, request.limit)
                is_whole = response.status == 200 and response.isclosed() and not response.will_close
            date, age, challenge, nonce = map(response.headers.get, _TOLD)
            return HttpsAnswer(response.status, content, date, age, challenge, nonce, lines)
        finally:
            if lines is None:
                self._leave(line, is_whole=is_whole)

    def _lines(
        self, line: Line, response: HTTPResponse, request: HttpsRequest
    ) -> Generator[bytes, None, None]:
        assert request.line_seconds is not None
        is_whole = False
        try:
            with response:
                yield from lines_of(line, response, request.line_seconds, request.limit)
                is_whole = response.isclosed() and not response.will_close
        except (OSError, HTTPException, ValueError) as error:
            raise no_answer(request.url, error, self._ca_remedy) from error
        finally:
            self._leave(line, is_whole=is_whole)

    def _leave(self, line: Line, *, is_whole: bool) -> None:
        if is_whole and not line.has_surplus and not self._is_over and len(self._kept) < _MOST_KEPT:
            self._kept.append(line)
        else:
            line.end()

    def _take(self, place: str) -> Line | None:
        """Return a kept line to this host and port, which then is this exchange's alone."""
        for _ in range(len(self._kept)):
            try:
                line = self._kept.pop()
            except IndexError:
                return None
            if line.place != place:
                self._kept.appendleft(line)
            elif line.is_quiet():
                return line
            else:
                line.end()
        return None

    def _opened(self, url: str, place: str, deadline: Deadline) -> Line:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 443
        if parts.scheme != "https" or host is None:
            raise ValueError("it is no https URL")
        raw = self._dial(host, port, deadline)
        try:
            raw.settimeout(deadline.left())
            tls = self._context.wrap_socket(raw, server_hostname=host)
        except BaseException:
            raw.close()
            raise
        return Line(place, tls, HTTPSConnection(host, port, context=self._context), deadline)


def no_answer(url: str, error: Exception, ca_remedy: str) -> Unavailable:
    """Return the error for a URL that gave no whole answer: what failed, and what to do."""
    # By hand, since the failure may be that no URL parser reads it.
    place = url.partition("://")[2].partition("/")[0].rpartition("@")[2] or url
    kind = "answer" if isinstance(error, OSError) else "usable answer"
    return Unavailable(f"no {kind} from {url}: {failure_in_words(error, place, ca_remedy)}")


def _content_of(response: HTTPResponse, limit: int) -> bytes:
    """Return the body, or as much of it as shows that it is too long."""
    if response.status < 200:
        raise HTTPException(f"an interim answer of status {response.status}")
    content = response.read(limit + 1)
    if response.length and len(content) <= limit:
        raise HTTPException(f"the answer ended {response.length} bytes too early")
    return content


def _close(kept: deque[Line]) -> None:
    with suppress(IndexError):
        while True:
            kept.pop().end()
