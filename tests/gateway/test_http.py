"""How the gateway speaks HTTP: strictly, in order, within bounds."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPResponse

import pytest

from macaroon_cbat.resource.gateway.http_connection import MAX_REQUEST_BYTES
from tests.gateway.running import Running, gateway, send
from tests.tls.material import read_to_end

HEALTH = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/health"}
ASKED = b"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /health\r\n"
CLOSED = b"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /nothing\r\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with gateway(tmp_path_factory.mktemp("http")) as running:
        yield running


def spoken(running: Running, data: bytes) -> bytes:
    """Send these very bytes; return all that comes until the gateway closes."""
    with running.connect() as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return read_to_end(sock)


def statuses(running: Running, data: bytes) -> list[int]:
    return [int(part[:3]) for part in spoken(running, data).split(b"HTTP/1.1 ")[1:]]


def test_a_connection_is_used_again(running: Running):
    """Many questions go over one connection, as proxies keep it."""
    with running.connect() as sock:
        assert [send(sock, HEALTH).status for _ in range(100)] == [200] * 100


def test_questions_in_one_piece_are_answered_in_order(running: Running):
    """Several requests that arrive together get their answers in the order in which they came."""
    one = b"GET / HTTP/1.1\r\nHost: x\r\n" + ASKED + b"\r\n"
    other = b"GET / HTTP/1.1\r\nHost: x\r\n" + CLOSED + b"\r\n"
    last = one.replace(b"Host: x", b"Connection: close")
    assert statuses(running, (one + other) * 10 + last) == [200, 403] * 10 + [200]


def test_a_question_may_come_in_pieces(running: Running):
    """A request that arrives byte by byte is the same request."""
    with running.connect() as sock:
        for byte in b"GET /a/long/target HTTP/1.1\r\nHost: x\r\n" + ASKED + b"\r\n":
            sock.send(bytes([byte]))
        response = HTTPResponse(sock)
        response.begin()
        assert response.status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
def test_what_is_no_http_is_400(running: Running, data: bytes):
    """What is not strictly HTTP/1 gets 400 and the end of the connection, and nothing after it is read."""
    smuggled = b"GET / HTTP/1.1\r\nHost: x\r\n" + ASKED + b"\r\n"
    assert statuses(running, data + smuggled) == [400]


def test_too_much_is_431(running: Running):
    """More than 64 KB of one request are not kept, in one header or in many, and a body counts as well."""
    big = b"a" * MAX_REQUEST_BYTES
    start = b"GET / HTTP/1.1\r\nHost: x\r\n"
    assert statuses(running, start + b"Cookie: " + big) == [431]
    assert statuses(running, start + b"Cookie: a\r\n" * 10_000) == [431]
    assert statuses(running, b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + big + b"a") == [431]
    almost = start + ASKED + b"Cookie: " + big[:-1000] + b"\r\nConnection: close\r\n\r\n"
    assert statuses(running, almost) == [200]


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n",
        b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n",
        b"CONNECT x:1 HTTP/1.1\r\n",
        b"GET / HTTP/1.0\r\n",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\n",
    ],
)
def test_the_last_answer_closes(running: Running, start: bytes):
    """After an upgrade, CONNECT, HTTP/1.0 or `Connection: close` there is one answer, and the end."""
    answer = spoken(running, start + ASKED + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"connection: close\r\n" in answer


def test_what_follows_the_last_question_is_not_read(running: Running):
    """Bytes after a request that ends the connection are no second request."""
    smuggled = b"GET / HTTP/1.1\r\n" + CLOSED + b"\r\n"
    upgrade = b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" + ASKED + b"\r\n"
    assert statuses(running, upgrade + smuggled) == [200]
    old = b"GET / HTTP/1.0\r\n" + ASKED + b"\r\n"
    assert statuses(running, old + smuggled) == [200]


def test_head_has_no_body(running: Running):
    """The answer to HEAD, which Envoy sends as it came, has the length of a body and none."""
    for method in (b"HEAD", b"GET"):
        answer = spoken(running, method + b" / HTTP/1.1\r\nConnection: close\r\n" + CLOSED + b"\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"content-length: " in head.lower()
        assert bool(body) == (method == b"GET")


def test_whoever_does_not_finish_is_cut_off(running: Running):
    """A connection that says nothing, or half a request, is closed; others are answered meanwhile."""
    silent = [running.connect() for _ in range(50)]
    for sock in silent[:25]:
        sock.sendall(b"GET / HTTP/1.1\r\nHost:")
    started = time.monotonic()
    assert running.ask(HEALTH).status == 200
    assert time.monotonic() - started < 5
    for sock in silent:
        with sock:
            sock.settimeout(30)
            with suppress(ConnectionResetError):
                assert read_to_end(sock) == b""


def test_no_header_of_an_answer_can_be_split(running: Running):
    """Nothing that a stranger wrote makes a header of the answer: line ends never get through."""
    fields = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/health%0d%0aPrincipalclient:%20root")]
    answer = running.ask(fields)
    assert answer.status == 403
    assert answer.principal == {}
