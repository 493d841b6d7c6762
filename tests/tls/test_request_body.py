"""The body of a request: it ends where it was declared, however it arrives, and not a byte later."""

import pytest

from macaroon_cbat.tls.request import Request

NEXT = b"GET /next HTTP/1.1\r\n"


def head(length: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % length


@pytest.mark.parametrize("body", [b"", b"x", b"xy", b"x" * 70_000], ids=len)
def test_what_follows_a_body_is_not_taken(body: bytes) -> None:
    """Of a whole body and a next request in one piece, the body alone is taken."""
    request = Request(1 << 16, 1 << 20)
    begin = head(len(body)) + body
    assert request.received(begin + NEXT) == len(begin)
    assert request.completed
    assert request.get_body_stream().read() == body


@pytest.mark.parametrize("at", range(1, 5))
def test_a_body_in_pieces_ends_where_it_was_declared(at: int) -> None:
    """Of the last piece of a body and a next request, the piece alone is taken."""
    request, body = Request(1 << 16, 1 << 20), b"abcde"
    begin = head(len(body)) + body[:at]
    assert request.received(begin) == len(begin)
    assert not request.completed
    assert request.received(body[at:] + NEXT) == len(body) - at
    assert request.completed
    assert request.get_body_stream().read() == body
