"""HTTPS connections to the service, with exchanges that end in time and answers that are never mixed up.

A connection serves one exchange at a time and belongs to one process. It is kept only after one whole
answer of status 200, and used again only if nothing more has arrived by then. Not checked: an unasked
second answer that arrives later still. The service, and a proxy before it, must not send one.
"""

import io
import socket
import ssl
import time
import weakref
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from macaroon_cbat.client.network_failures import failure_in_words
from macaroon_cbat.errors import Unavailable

_MOST_KEPT = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request to the service, and the bounds of its answer.

    `timeout` counts the seconds for each wait, `longest` those for all, which without it are `timeout` too;
    `limit` counts bytes.
    """

    method: str
    url: str
    timeout: float
    limit: int
    longest: float | None = None
    query: Mapping[str, str] | None = None
    form: Mapping[str, str] | None = None
    authorization: str | None = None

    def target(self) -> str:
        """Return the request target (RFC 9112 3.2.1)."""
        parts = urlsplit(self.url)
        query = "&".join(part for part in (parts.query, urlencode(self.query or {})) if part)
        return (parts.path or "/") + (f"?{query}" if query else "")

    def body(self) -> bytes | None:
        """Return the form's text, or None for a request without one."""
        return None if self.form is None else urlencode(self.form).encode()

    def headers(self) -> dict[str, str]:
        """Return the header fields beyond those that every request has."""
        fields = {"Content-Type": "application/x-www-form-urlencoded"} if self.form is not None else {}
        return fields if self.authorization is None else {**fields, "Authorization": self.authorization}


class _Deadline:
    """The time of one exchange, from now on."""

    def __init__(self, question: Question) -> None:
        self._wait = question.timeout
        self._ends_at = time.monotonic() + (
            question.timeout if question.longest is None else question.longest
        )

    def left(self) -> float:
        """Return the seconds to wait for the next part, or raise TimeoutError."""
        left = min(self._wait, self._ends_at - time.monotonic())
        if left <= 0:
            raise TimeoutError("it took too long")
        return left


class _Reader(io.RawIOBase):
    """The bytes that a line's peer sends."""

    def __init__(self, line: "_Line") -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._line.tls.settimeout(self._line.deadline.left())
        return self._line.tls.recv_into(buffer)


class _Line:
    """One TLS connection, in the place of a socket under `http.client`: it keeps the exchange's deadline."""

    def __init__(self, place: str, tls: ssl.SSLSocket, http: HTTPSConnection, deadline: _Deadline) -> None:
        self.place, self.tls, self.http, self.deadline = place, tls, http, deadline
        http.sock = self  # it sends, makes a file and closes, which is all that is asked

    def sendall(self, data: bytes) -> None:
        self.tls.settimeout(self.deadline.left())
        self.tls.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Leave the connection open: `http.client` says this before the answer is read."""

    def end(self) -> None:
        self.tls.close()

    def is_quiet(self) -> bool:
        """Return True if the peer has neither closed the connection nor sent anything unasked."""
        self.tls.settimeout(0)
        try:
            self.tls.recv(1)
        except ssl.SSLWantReadError:
            return True
        except OSError:
            return False
        return False


class Connections:
    """Connections made with one TLS context, kept between exchanges. Thread-safe; of one process only."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """Connect with this context."""
        self._context = context
        self._kept: deque[_Line] = deque()
        self._is_over = False
        weakref.finalize(self, _close, self._kept)

    def exchange(self, question: Question) -> tuple[int, bytes]:
        """Return status and body, or raise Unavailable when no whole answer of at most `limit` bytes comes.

        Redirects are not followed: credentials stay with the endpoint they are meant for. Proxies and
        passwords that the environment names are not used.
        """
        try:
            status, body = self._ask(question, _Deadline(question))
        except (OSError, HTTPException, ValueError) as error:
            reason = failure_in_words(error, urlsplit(question.url).netloc)
            raise Unavailable(f"{question.url} gave no usable answer: {reason}") from error
        if len(body) > question.limit:
            raise Unavailable(f"{question.url} answered {status} with more than {question.limit} bytes")
        return status, body

    def end(self) -> None:
        """Close the connections that no exchange uses now, the others after their exchange."""
        self._is_over = True
        _close(self._kept)

    def _ask(self, question: Question, deadline: _Deadline) -> tuple[int, bytes]:
        place = urlsplit(question.url).netloc
        if (kept := self._take(place)) is not None:
            kept.deadline = deadline
            with suppress(ConnectionError, ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return self._over(kept, question)
            # The service closed it at this very moment. All that is asked may be asked twice.
        return self._over(self._opened(question.url, place, deadline), question)

    def _over(self, line: _Line, question: Question) -> tuple[int, bytes]:
        """Ask over this line; keep it only if it brought one whole answer of status 200."""
        is_whole = False
        try:
            line.http.request(question.method, question.target(), question.body(), question.headers())
            with line.http.getresponse() as response:
                if response.status < 200:
                    raise HTTPException(f"an interim answer of status {response.status}")
                content = response.read(question.limit + 1)
                if response.length and len(content) <= question.limit:
                    raise HTTPException(f"the answer ended {response.length} bytes too early")
                is_whole = response.status == 200 and response.isclosed() and not response.will_close
            return response.status, content
        finally:
            if is_whole and not self._is_over and len(self._kept) < _MOST_KEPT:
                self._kept.append(line)
            else:
                line.end()

    def _take(self, place: str) -> _Line | None:
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

    def _opened(self, url: str, place: str, deadline: _Deadline) -> _Line:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 443
        if parts.scheme != "https" or host is None:
            raise ValueError("it is no https URL")
        raw = _connected(host, port, deadline)
        try:
            raw.settimeout(deadline.left())
            tls = self._context.wrap_socket(raw, server_hostname=host)
        except BaseException:
            raw.close()
            raise
        return _Line(place, tls, HTTPSConnection(host, port, context=self._context), deadline)


def _close(kept: deque[_Line]) -> None:
    with suppress(IndexError):
        while True:
            kept.pop().end()


def _connected(host: str, port: int, deadline: _Deadline) -> socket.socket:
    """Return a TCP connection to the first address that answers in time, or raise OSError."""
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        raw = socket.socket(family, kind, protocol)
        try:
            raw.settimeout(deadline.left())
            raw.connect(address)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raw.close()
            failure = error
        else:
            return raw
    raise failure
