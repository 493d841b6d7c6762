"""A response that cannot be completed looks like one to the client, and is an error in the log."""

import os
import socket
import ssl
from http.client import IncompleteRead

import pytest

from tests.support.tls_application import BIG
from tests.support.tls_servers import SECONDS, Server, ask, read_to_end, running, wait_until


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("path", ["/broken", "/short"])
def test_a_response_that_breaks_off_is_not_passed_off_as_whole(
    server: Server, path: str, version: str
) -> None:
    """A response that fails midway or is too short ends without a last chunk and without TLS's goodbye."""
    received = b""
    with server.connect(suppress_ragged_eofs=False) as connection:
        connection.sendall(b"GET %s HTTP/%s\r\nHost: localhost\r\n\r\n" % (path.encode(), version.encode()))
        with pytest.raises(ssl.SSLEOFError):
            while piece := connection.recv(65536):
                received += piece
    assert b"half of it" in received
    assert not received.endswith(b"0\r\n\r\n")
    wait_until(lambda: f"ERROR:macaroon_cbat.tls:the application failed at GET {path}" in server.log())


def test_a_response_that_has_not_begun_is_500(server: Server) -> None:
    """An application that announces a body and sends none of it is answered for with 500."""
    assert server.ask("/nothing").status == 500


@pytest.mark.parametrize("path", ["/nothing", "/short"])
def test_an_answer_to_head_has_no_body(server: Server, path: str) -> None:
    """An answer to HEAD announces a body and is whole without one; the connection stays open."""
    with server.connect() as connection:
        answers = [ask(connection, path, "HEAD") for _ in range(2)]
    assert [(answer.status, answer.headers["content-length"]) for answer in answers] == [(200, "100")] * 2


def test_a_file_that_is_cut_off_is_not_passed_off_as_whole(tmp_path) -> None:
    """A file that becomes shorter while it is sent ends the connection without TLS's goodbye."""
    with running(tmp_path) as server:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        raw.settimeout(SECONDS)
        raw.connect(("127.0.0.1", server.port))
        context = server.context()
        with context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False) as connection:
            connection.sendall(b"GET /file HTTP/1.1\r\nHost: localhost\r\n\r\n")
            begun = connection.recv(1 << 12)
            os.truncate(tmp_path / "big", 0)
            with pytest.raises(ssl.SSLEOFError):
                read_to_end(connection)
        assert b"Content-Length: %d" % len(BIG) in begun
        wait_until(lambda: "bytes of a file are missing" in server.log())


def test_clients_of_the_standard_library_notice(server: Server) -> None:
    """Python's own client raises for a response that is shorter than announced."""
    with pytest.raises((IncompleteRead, ssl.SSLError)):
        server.ask("/short")
