"""The text of an HTTP/1.1 answer, in one piece."""

from functools import lru_cache
from http import HTTPStatus

from macaroon_cbat.resource.responses import Answer

Headers = tuple[tuple[str, str], ...]

_EMPTY = b"content-length: 0\r\n"
_CLOSE = b"connection: close\r\n"


def answer_text(answer: Answer, *, is_head: bool, is_last: bool) -> bytes:
    """Return the whole answer; the body is left out for HEAD, but not its length."""
    if not (answer.body or is_last):
        return remembered_text(answer.status, answer.headers)
    body = answer.body
    return b"".join(
        (
            _status_line(answer.status),
            _fields(answer.headers),
            b"content-length: %d\r\n" % len(body),
            _CLOSE if is_last else b"",
            b"\r\n",
            b"" if is_head else body,
        )
    )


@lru_cache(maxsize=4096)
def remembered_text(status: int, headers: Headers) -> bytes:
    """Return an answer without a body. Remembered: the headers of a principal are the same each time."""
    return _status_line(status) + _fields(headers) + _EMPTY + b"\r\n"


def error_text(status: int) -> bytes:
    """Return the answer to bytes that are no HTTP request within the limits; the connection ends with it."""
    return _status_line(status) + _EMPTY + _CLOSE + b"\r\n"


@lru_cache
def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()


def _fields(headers: Headers) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("latin-1", "replace")
