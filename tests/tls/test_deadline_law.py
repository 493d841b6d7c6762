"""The time of a request begins with its first byte, and nothing that the client sends starts it anew."""

import pytest

from tests.support.stepped_loop import stepped

SECONDS = 10.0
IDLE = 15.0
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def server(tmp_path):
    with stepped(tmp_path, request_seconds=SECONDS, idle_seconds=IDLE) as found:
        yield found


@pytest.fixture
def client(server):
    """Return a client whose first request was answered at second 1."""
    found = server.client()
    found.send(GET)
    server.at(1)
    server.serve()
    found.look()
    assert found.received.startswith(b"HTTP/1.1 200 ")
    found.received = b""
    return found


PIECES = {
    "blank lines": [b"\r\n"] * 9,
    "halves of blank lines": [b"\r", b"\n"] * 4 + [b"\r"],
    "blank lines, then a header": [b"\r\n", b"\r\n", b"GET / ", b"HTTP/1.1\r\n", *[b"A: b\r\n"] * 5],
    "a header": [b"GET / HTTP/1.1\r\n", *[b"A: b\r\n"] * 8],
    "a body": [GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 100\r\n\r\n"), *[b"x"] * 8],
    "chunks": [
        GET.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
        *[b"1\r\nx\r\n"] * 8,
    ],
    "trailers": [
        GET.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"),
        *[b"A: b\r\n"] * 8,
    ],
}


@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES.keys())
def test_nothing_starts_the_time_anew(server, client, pieces):
    """Bytes that trickle in between two requests end with 408 ten seconds after the first of them."""
    for second, piece in enumerate(pieces, 2):
        server.at(second)
        client.send(piece)
    server.at(2 + SECONDS - 0.1)
    assert client.is_served
    server.at(2 + SECONDS)
    client.look()
    assert client.received.startswith(b"HTTP/1.1 408 ")
    assert not client.is_served


def test_blank_lines_after_the_handshake_are_no_request(server):
    """A client that never got an answer has ten seconds from its handshake, blank lines or not."""
    found = server.client()
    server.at(9)
    found.send(b"\r\n")
    server.at(9.9)
    assert found.is_served
    server.at(10)
    assert not found.is_served


def test_blank_lines_end_the_idle_time(server, client):
    """Blank lines on a connection kept alive are the beginning of a request, not of a longer pause."""
    server.at(1 + IDLE - 1)
    client.send(b"\r\n")
    server.at(1 + IDLE + SECONDS - 1)
    assert not client.is_served
    assert client.received == b"" or client.received.startswith(b"HTTP/1.1 408 ")


def test_many_blank_lines_are_refused(server, client):
    """A client that sends nothing but blank lines is refused before its time is over."""
    client.send(b"\r\n" * 40)
    assert client.received.startswith(b"HTTP/1.1 400 ")


def test_an_idle_connection_has_its_time(server, client):
    """A connection kept alive is closed fifteen seconds after its last answer, not before."""
    server.at(1 + IDLE - 0.1)
    assert client.is_served
    server.at(1 + IDLE)
    assert not client.is_served
