import select
import socket
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.support.tls_application import BIG
from tests.support.tls_servers import Server, ask, read_answer, read_to_end, running

LIMITS = {"request_seconds": 1.5, "idle_seconds": 1}


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("hurried"), limits=LIMITS) as server:
        yield server


def test_silence_is_cut_off(tmp_path: Path) -> None:
    """A client that connects and says nothing is dropped."""
    with (
        running(tmp_path, limits={"handshake_seconds": 0.5}) as server,
        socket.create_connection(("127.0.0.1", server.port)) as sock,
    ):
        assert read_to_end(sock) == b""


def test_a_connection_without_a_request_is_closed(hurried: Server) -> None:
    """A client that shakes hands and asks nothing is sent away with TLS's goodbye."""
    with hurried.connect(suppress_ragged_eofs=False) as connection:
        assert read_to_end(connection) == b""


def test_an_idle_connection_is_closed(hurried: Server) -> None:
    """A connection that is kept alive without being used is closed with TLS's goodbye."""
    with hurried.connect(suppress_ragged_eofs=False) as connection:
        assert ask(connection).status == 200
        assert read_to_end(connection) == b""


BODY = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize("beginning", [b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", BODY])
def test_a_request_that_does_not_end_is_told_so(hurried: Server, beginning: bytes) -> None:
    """A request that is not whole in time is answered with 408, however steadily it trickles."""
    with hurried.connect() as connection:
        connection.sendall(beginning)
        while not connection.pending() and not select.select([connection], [], [], 0.1)[0]:
            connection.sendall(b"a")
        response = HTTPResponse(connection)
        response.begin()
        answer = read_answer(response)
    assert answer.status == 408
    assert answer.json()["error"] == "invalid_request"


def test_a_slow_but_steady_reader_gets_everything(hurried: Server) -> None:
    """A download may take longer than any deadline as long as it goes on."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        sock.connect(("127.0.0.1", hurried.port))
        with hurried.context().wrap_socket(sock, server_hostname="localhost") as connection:
            connection.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            began = time.monotonic()
            received = 0
            while piece := connection.recv(16_384):
                received += len(piece)
                time.sleep(0.01)
    assert received > len(BIG)
    assert time.monotonic() - began > 2 * LIMITS["request_seconds"]
