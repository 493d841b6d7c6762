"""One call of a WSGI application (PEP 3333), and the framing of its response (RFC 9112 6 and 9)."""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from email.utils import formatdate
from functools import lru_cache
from time import time
from types import TracebackType
from typing import Any

from macaroon_cbat.tls.file_body import FileBody
from macaroon_cbat.tls.request import Request
from macaroon_cbat.tls.site import Site

log = logging.getLogger("macaroon_cbat.tls")

_HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers",
    "transfer-encoding", "upgrade",
})  # fmt: skip
_LAST_CHUNK = b"0\r\n\r\n"

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Fields = list[tuple[str, str]]


class IncompleteResponseError(Exception):
    """The application's answer is shorter than its Content-Length."""


class Task:
    """One call of the application. `keeps_alive` says how the connection goes on after it."""

    __slots__ = (
        "_fields", "_is_chunked", "_length", "_put", "_request", "_sent", "_site", "_status", "has_begun",
        "keeps_alive",
    )  # fmt: skip

    def __init__(self, put: Callable[[bytes | FileBody], None], request: Request, site: Site) -> None:
        """Pass the parts of the response to `put`, which raises if the client is gone."""
        self._put, self._request, self._site = put, request, site
        self._status = ""
        self._fields: Fields = []
        self._length: int | None = None
        self._sent = 0
        self._is_chunked = False
        self.has_begun = False
        self.keeps_alive = request.keeps_alive()

    def is_answered(self) -> bool:
        """Return True once the application has called start_response."""
        return bool(self._status)

    def run(self, application: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> None:
        """Call the application and send what it answers; raise what the application raises."""
        parts = application(environ, self._start_response)
        is_handed_on = False
        try:
            if isinstance(parts, FileBody) and parts.prepare(self._length):
                is_handed_on = True
                self._send_file(parts)
                return
            self._send_all(parts)
        finally:
            close = None if is_handed_on else getattr(parts, "close", None)
            if close is not None:
                close()

    def finish(self) -> None:
        """End the response; raise IncompleteResponseError if less was sent than announced."""
        if self._has_body() and self._length is not None and self._sent < self._length:
            raise IncompleteResponseError(f"the application sent {self._sent} of {self._length} bytes")
        if not self.has_begun:
            self._write(b"")
        if self._is_chunked and self._has_body():
            self._put(_LAST_CHUNK)

    def _start_response(
        self, status: str, headers: Fields, exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None:
            if self.has_begun:
                raise exc_info[1].with_traceback(exc_info[2])
            self._fields, self._length = [], None
        elif self._status:
            raise AssertionError("start_response was called a second time without exc_info")
        for name, value in headers:
            key = name.lower()
            if key == "content-length":
                self._length = int(value)
            elif key in _HOP_BY_HOP:
                raise AssertionError(f"{name} is for this server to say (PEP 3333)")
        self._status, self._fields = status, list(headers)
        return self._write

    def _send_all(self, parts: Iterable[bytes]) -> None:
        is_first = True
        for part in parts:
            if is_first and self._length is None and not self.has_begun and _is_alone(parts):
                self._announce_length(len(part))
            is_first = False
            if part:
                self._write(part)

    def _send_file(self, body: FileBody) -> None:
        self._announce_length(len(body))
        self._send(self._head())
        self._sent = len(body)
        if self._has_body():
            self._put(body)
        else:
            body.close()

    def _announce_length(self, length: int) -> None:
        self._fields = [field for field in self._fields if field[0].lower() != "content-length"]
        self._fields.append(("Content-Length", str(length)))
        self._length = length

    def _write(self, data: bytes) -> None:
        """Send this part, the first one with the header in one piece."""
        head = b"" if self.has_begun else self._head()
        if not self._has_body():
            self._sent += len(data)
            body = b""
        elif self._is_chunked:
            body = b"%X\r\n%b\r\n" % (len(data), data) if data else b""
        else:
            body = self._within_length(data)
        if head or body:
            self._send(head + body if head else body)

    def _send(self, data: bytes) -> None:
        self.has_begun = True  # not before: where the header cannot be made, the server answers itself
        self._put(data)

    def _within_length(self, data: bytes) -> bytes:
        if self._length is not None and self._sent + len(data) > self._length:
            log.warning("the application wrote more than its Content-Length of %d", self._length)
            data = data[: self._length - self._sent]
        self._sent += len(data)
        return data

    def _has_body(self) -> bool:
        return self._request.command != "HEAD" and not self._status.startswith(("1", "204", "304"))

    def _head(self) -> bytes:
        """Return the header; what has no length is sent in chunks, or up to the end of the connection."""
        if not self._status:
            raise RuntimeError("start_response was not called before the body")
        fields, is_old = self._fields, self._request.version == "1.0"
        has_body = not self._status.startswith(("1", "204", "304"))
        if not has_body:
            fields = [field for field in fields if field[0].lower() != "content-length"]
        elif self._length is None:
            self._is_chunked = not is_old
            self.keeps_alive = self.keeps_alive and not is_old
            fields += [("Transfer-Encoding", "chunked")] if self._is_chunked else []
        if self._site.is_stopping:
            self.keeps_alive = False
        if not self.keeps_alive or is_old:
            fields.append(("Connection", "Keep-Alive" if self.keeps_alive else "close"))
        if not any(name.lower() == "date" for name, _ in fields):
            fields.append(("Date", _date(int(time()))))
        return _text(self._request.version, self._status, fields)


def _is_alone(parts: Iterable[bytes]) -> bool:
    with suppress(TypeError):
        return len(parts) == 1  # type: ignore[arg-type]  # an iterable may have no length
    return False


def _text(version: str, status: str, fields: Fields) -> bytes:
    """Return the header as it is sent, or raise ValueError for a field that would begin another line."""
    text = "".join([f"{name}: {value}\r\n" for name, value in fields])
    if text.count("\n") != len(fields) or text.count("\r") != len(fields) or not status.isprintable():
        raise ValueError("a header field of the application has a line end")
    return f"HTTP/{version} {status}\r\n{text}\r\n".encode("latin-1")


@lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
