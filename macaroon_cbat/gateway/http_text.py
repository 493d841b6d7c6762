"""The text of an HTTP/1.1 answer, in one piece."""

from functools import lru_cache
from http import HTTPStatus

from macaroon_cbat.resource.responses import Answer

_EMPTY = b"content-length: 0\r\n"
_CLOSE = b"connection: close\r\n"


def answer_text(answer: Answer, *, is_head: bool, is_last: bool) -> bytes:
    """Return the whole answer; the body is left out for HEAD, but not its length."""
    fields = "".join([f"{name}: {value}\r\n" for name, value in answer.headers])
    body = answer.body
    length = b"content-length: %d\r\n" % len(body) if body else _EMPTY
    return b"".join(
        (
            _status_line(answer.status),
            fields.encode("latin-1", "replace"),
            length,
            _CLOSE if is_last else b"",
            b"\r\n",
            b"" if is_head else body,
        )
    )


def error_text(status: int) -> bytes:
    """Return the answer to bytes that are no HTTP request within the limits; the connection ends with it."""
    return _status_line(status) + _EMPTY + _CLOSE + b"\r\n"


@lru_cache
def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
