"""Differential: a request that we read, another parser reads in the same way, to the same last byte."""

from typing import Any

import h11
from hypothesis import example, given
from hypothesis import strategies as st

from macaroon_cbat.tls.request import Request
from macaroon_cbat.tls.request_head import UnusableRequest

LINES = [b"GET / HTTP/1.1", b"POST /a%20b?c HTTP/1.1", b"POST / HTTP/1.0", b"GET https://h/x HTTP/1.1"]
FIELDS = [
    b"Host: h",
    b"Content-Length: 3",
    b"Content-Length:03",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: CHUNKED ",
    b"Transfer-Encoding: gzip, chunked",
    b"Connection: keep-alive",
    b"X-A:\t b\xe9 ",
    b"X-A:",
    b" folded",
    b"Trailer: X",
]
BODIES = [
    b"",
    b"abc",
    b"abcd",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"1;a=b\r\na\r\n000\r\nX-B: c\r\n\r\n",
    b"0\r\n\r\n",
]
NOISE = [
    b"",
    b"\r",
    b"\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b"0",
    b"+",
    b"_",
    b"\x0b",
    b"\x85",
    b"\xa0",
    b"\r\n",
]
NEXT = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n"


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Return a request that is nearly well-formed, with a little noise in one place."""
    fields = draw(st.lists(st.sampled_from(FIELDS), max_size=4))
    lines = [draw(st.sampled_from(LINES)), *draw(st.sampled_from([[], [FIELDS[0]]])), *fields]
    whole = b"\r\n".join(lines) + b"\r\n\r\n" + draw(st.sampled_from(BODIES))
    at = draw(st.integers(0, len(whole)))
    return whole[:at] + draw(st.sampled_from(NOISE)) + whole[at + draw(st.integers(0, 1)) :]


def read_here(sent: bytes, step: int) -> tuple[Any, ...] | None:
    """Return method, target, fields and body as we read them and what is left over; None when refused."""
    request, at = Request(1 << 16, 1 << 20), 0
    try:
        while at < len(sent) and not request.completed:
            at += request.received(sent[at : at + step])
    except UnusableRequest:
        return None
    if not request.completed:
        return None
    body = request.get_body_stream().read()
    return request.command, request.request_uri, request.headers.get("HOST"), body, sent[at:]


def read_there(sent: bytes) -> tuple[Any, ...]:
    """Return the same as h11 reads it."""
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(sent.lstrip(b"\r\n"))
    head = parser.next_event()
    assert isinstance(head, h11.Request)
    body = b""
    while isinstance(event := parser.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    target = head.target.removeprefix(b"https://h").decode()
    host = dict(head.headers).get(b"host")
    rest = parser.trailing_data[0]
    return head.method.decode(), target, host and host.decode(), body, rest


@given(requests(), st.integers(1, 100))
@example(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nHost: x\r\n\r\n", 1)
def test_h11_reads_what_we_read(request_bytes: bytes, step: int) -> None:
    """A request that is read here, in whatever pieces, is the same for h11 and ends at the same byte."""
    found = read_here(request_bytes + NEXT, step)
    assert found is None or found == read_there(request_bytes + NEXT)


@given(requests(), st.integers(1, 100))
def test_pieces_change_nothing(request_bytes: bytes, step: int) -> None:
    """The size of the pieces changes neither what is read nor whether it is refused."""
    assert read_here(request_bytes, step) == read_here(request_bytes, 1 << 16)
