"""The text of an HTTP/1.1 answer, in one piece."""

from functools import lru_cache
from http import HTTPStatus

from macaroon_cbat.resource.responses import Answer
from macaroon_cbat.text.generations import Generations

Headers = tuple[tuple[str, str], ...]

_CLOSE = b"connection: close\r\n"

LONGEST_KEPT = 1024
"""Bytes of the longest answer that is kept: so the memory is bounded, however long the tokens are."""

kept_texts: Generations[Headers, bytes] = Generations(2048)
"""The answers that let a request in, by their headers: those of a principal are the same each time."""


def answer_text(answer: Answer, *, is_head: bool, is_last: bool) -> bytes:
    """Return the whole answer; the body is left out for HEAD, but not its length."""
    is_kept = answer.status == 200 and not (answer.body or is_last)
    if is_kept and (kept := kept_texts.get(answer.headers)) is not None:
        return kept
    fields = "".join([f"{name}: {value}\r\n" for name, value in answer.headers])
    text = b"".join(
        (
            _status_line(answer.status),
            fields.encode("latin-1", "replace"),
            b"content-length: %d\r\n" % len(answer.body),
            _CLOSE if is_last else b"",
            b"\r\n",
            b"" if is_head else answer.body,
        )
    )
    if is_kept and len(text) <= LONGEST_KEPT:
        kept_texts.put(answer.headers, text)
    return text


def error_text(status: int) -> bytes:
    """Return the answer to bytes that are no HTTP request within the limits; the connection ends with it."""
    return _status_line(status) + b"content-length: 0\r\n" + _CLOSE + b"\r\n"


@lru_cache
def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
