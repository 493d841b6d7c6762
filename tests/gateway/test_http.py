"""The HTTP of the gateway: strict, in order, within bounds."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPResponse

import pytest

from macaroon_cbat.gateway.http_connection import MAX_REQUEST_BYTES
from tests.support.gateway_process import HEALTH, Running, gateway, send
from tests.support.tls_servers import read_to_end

START = b"GET / HTTP/1.1\r\nHost: x\r\n"
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
    one = START + ASKED + b"\r\n"
    other = START + CLOSED + b"\r\n"
    last = one.replace(b"Host: x", b"Host: x\r\nConnection: close")
    assert statuses(running, (one + other) * 10 + last) == [200, 403] * 10 + [200]


def test_a_question_may_come_in_pieces(running: Running):
    """A request that arrives byte by byte is the same request."""
    with running.connect() as sock:
        for byte in START + ASKED + b"\r\n":
            sock.send(bytes([byte]))
        response = HTTPResponse(sock)
        response.begin()
        assert response.status == 200


NO_HTTP = {
    "nonsense": b"nonsense\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: x\n\n",
    "a bare line feed": START + b"X: a\nY: b\r\n\r\n",
    "a bare carriage return": START + b"X: a\rb\r\n\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "a blank in a name": START + b"X Y: a\r\n\r\n",
    "a name of nothing": START + b": a\r\n\r\n",
    "a line without a colon": START + b"X\r\n\r\n",
    "a folded line": START + b"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /\r\n health\r\n\r\n",
    "a folded first line": b"GET / HTTP/1.1\r\n X: a\r\nHost: x\r\n\r\n",
    "a NUL": START + b"X: a\0b\r\n\r\n",
    "a control": START + b"X: a\x0bb\r\n\r\n",
    "a method in small letters": b"get / HTTP/1.1\r\nHost: x\r\n" + ASKED + b"\r\n",
    "a target with a tab": b"GET /\t HTTP/1.1\r\nHost: x\r\n" + ASKED + b"\r\n",
    "a target that is not ASCII": b"GET /\xe9 HTTP/1.1\r\nHost: x\r\n" + ASKED + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00",
    "a PROXY line": b"PROXY TCP4 10.0.0.7 10.0.0.8 1 2\r\n",
    "a binary PROXY header": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12),
}
FRAMED_OTHERWISE = {
    "a body": START + ASKED + b"Content-Length: 5\r\n\r\nhello",
    "a question as a body": START + b"Content-Length: 9999\r\n\r\n",
    "a body that is announced": START + ASKED + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    "a body beside an upgrade": START
    + ASKED
    + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello",
    "two lengths": START + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length in other words": START + ASKED + b"Content-Length: 00\r\n\r\n",
    "a length and a coding": START + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an empty chunked body": START + ASKED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "facts as trailers": START + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + ASKED + b"\r\n",
    "another coding": START + ASKED + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "no coding": START + ASKED + b"Transfer-Encoding: identity\r\n\r\n",
    "a coding in capitals": START + ASKED + b"TRANSFER-ENCODING: Chunked\r\n\r\n0\r\n\r\n",
    "a coding in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n"
    + ASKED
    + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: x\r\n" + ASKED + b"\r\n",
    "HTTP/2.0 in the words of HTTP/1": b"GET / HTTP/2.0\r\nHost: x\r\n" + ASKED + b"\r\n",
    "HTTP/0.9 as it was": b"GET /\r\n",
    "HTTP/0.9 with fields": b"GET /\r\nHost: x\r\n" + ASKED + b"\r\n",
    "HTTP/0.9 by name": b"GET / HTTP/0.9\r\nHost: x\r\n" + ASKED + b"\r\n",
    "no Host": b"GET / HTTP/1.1\r\n" + ASKED + b"\r\n",
    "two Hosts": START + b"Host: x\r\n" + ASKED + b"\r\n",
    "two Hosts in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: x\r\nhost: y\r\n" + ASKED + b"\r\n",
}


@pytest.mark.parametrize("data", NO_HTTP.values(), ids=NO_HTTP)
def test_what_is_no_http_is_400(running: Running, data: bytes):
    """Data that is not strictly HTTP/1 gets 400 and the end of the connection; nothing after it is read."""
    assert statuses(running, data + START + ASKED + b"\r\n") == [400]


@pytest.mark.parametrize("data", FRAMED_OTHERWISE.values(), ids=FRAMED_OTHERWISE)
def test_what_no_proxy_asks_with_is_400(running: Running, data: bytes):
    """A body, trailers, another version, no Host or two make no question: 400, and the end."""
    assert statuses(running, data + START + ASKED + b"\r\n") == [400]
    assert statuses(running, START + CLOSED + b"\r\n" + data + START + ASKED + b"\r\n") == [403, 400]


ANOTHER_TARGET = {
    "another path": b"GET /health",
    "another path and a query": b"GET /x?/",
    "a fragment": b"GET /#x",
    "the origin": b"GET http://x/",
    "two slashes": b"GET //",
    "a star": b"OPTIONS *",
    "an authority": b"CONNECT x:1",
}


@pytest.mark.parametrize("line", ANOTHER_TARGET.values(), ids=ANOTHER_TARGET)
def test_a_question_for_another_target_is_refused(running: Running, line: bytes):
    """A question is a request for `/`: one for another target may be a client's own that was passed on."""
    assert statuses(running, line + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + ASKED + b"\r\n") == [
        403
    ]
    assert "let the proxy send it to /" in running.audit()[-1]["reason"]


def test_the_query_of_a_question_says_nothing(running: Running):
    """Caddy asks with the query of the client, which has no part in the decision."""
    assert running.ask(HEALTH, target="/?X-Forwarded-Uri=/nothing").status == 200


def test_headers_about_the_connection_change_nothing(running: Running):
    """`Expect`, `Upgrade` and a length of 0, which proxies pass on or add, are no body: 200."""
    for field in (b"Expect: 100-continue", b"Content-Length: 0", b"Upgrade: websocket"):
        assert statuses(running, START + ASKED + field + b"\r\nConnection: close\r\n\r\n") == [200]


def test_too_much_is_431(running: Running):
    """More than 64 KB of one request are not kept, in one header or in many; blank lines count."""
    big = b"a" * MAX_REQUEST_BYTES
    assert statuses(running, (START + b"Cookie: " + big)[: MAX_REQUEST_BYTES + 1]) == [431]
    # No more than is read before the answer: the gateway closes then, and the rest could not be sent.
    assert statuses(running, (START + b"Cookie: a\r\n" * 10_000)[: MAX_REQUEST_BYTES + 1]) == [431]
    assert statuses(running, b"\r\n" * (MAX_REQUEST_BYTES // 2) + b"\r") == [431]
    almost = START + ASKED + b"Cookie: " + big[:-1000] + b"\r\nConnection: close\r\n\r\n"
    assert statuses(running, almost) == [200]


LAST = {
    "an upgrade": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n",
    "an upgrade to HTTP/2": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    "HTTP/1.0": b"GET / HTTP/1.0\r\n",
    "HTTP/1.0 that would go on": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n",
    "a close": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n",
}


@pytest.mark.parametrize("start", LAST.values(), ids=LAST)
def test_the_last_answer_closes(running: Running, start: bytes):
    """After an upgrade, HTTP/1.0 or `Connection: close` there is one answer, and the end."""
    answer = spoken(running, start + ASKED + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"connection: close\r\n" in answer


@pytest.mark.parametrize("start", LAST.values(), ids=LAST)
def test_what_follows_the_last_question_is_not_read(running: Running, start: bytes):
    """Bytes after a request that ends the connection are no second request."""
    assert statuses(running, start + ASKED + b"\r\n" + START + CLOSED + b"\r\n") == [200]


def test_head_has_no_body(running: Running):
    """The answer to HEAD, which Envoy sends as it came, has the length of a body and none."""
    rest = b" / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + CLOSED + b"\r\n"
    for method in (b"HEAD", b"GET"):
        head, _, body = spoken(running, method + rest).partition(b"\r\n\r\n")
        assert b"content-length: " in head.lower()
        assert bool(body) == (method == b"GET")


def test_a_client_that_does_not_finish_is_cut_off(running: Running):
    """A connection that says nothing, or half a request, is closed; others are answered meanwhile."""
    silent = [running.connect() for _ in range(50)]
    for sock in silent[:25]:
        sock.sendall(b"GET / HTTP/1.1\r\nHost:")
    assert running.ask(HEALTH).status == 200
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
