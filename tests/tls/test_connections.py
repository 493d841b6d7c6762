import hashlib
import json
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from OpenSSL import SSL

from tests.support.tls_application import BIG
from tests.support.tls_servers import SECONDS, Client, Server, ask, next_line, read_to_end, speak


def test_big_downloads_arrive_whole(server: Server) -> None:
    """Twenty clients at once each receive 5 MB unchanged."""
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: server.ask("/big").body, range(20)))
    assert all(answer == BIG for answer in answers)


def test_files_arrive_whole(server: Server) -> None:
    """A body that the application hands over as a file arrives unchanged."""
    assert server.ask("/file").body == BIG


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_uploads_arrive_whole(server: Server, framing: str) -> None:
    """Twenty clients at once each send 900 KB, with a length or in chunks."""
    body = BIG[:900_000]
    pieces = [body[start : start + 7000] for start in range(0, len(body), 7000)]

    def upload(_: int) -> object:
        return server.ask("/echo", method="POST", body=iter(pieces) if framing == "chunks" else body).json()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(upload, range(20)))
    assert answers == [{"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}] * 20


def test_an_iterated_response_arrives_whole(server: Server) -> None:
    """A response of unknown length arrives in chunks and ends properly."""
    with server.connect() as connection:
        answer = ask(connection, "/stream")
    assert answer.body == b"".join(b"part %d\n" % number for number in range(5))
    assert answer.headers["transfer-encoding"] == "chunked"


def test_keep_alive(server: Server) -> None:
    """A connection serves one request after the other."""
    with server.connect() as connection:
        assert [ask(connection, "/").status for _ in range(50)] == [200] * 50


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    """Fifty requests sent at once are answered one by one, in their order."""
    requests = b"".join(
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (number, b"x" * number)
        for number in range(50)
    )
    with server.connect() as connection:
        connection.sendall(requests)
        with connection.makefile("rb") as file:
            found = [_next_answer(file)["bytes"] for _ in range(50)]
    assert found == list(range(50))


def _next_answer(file: Iterator[bytes]) -> dict[str, int]:
    length = 0
    for line in file:
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        if line == b"\r\n":
            break
    answer: dict[str, int] = json.loads(file.read(length))  # type: ignore[attr-defined]  # a binary file
    return answer


def test_blank_lines_between_requests_are_forgiven(server: Server) -> None:
    """Line ends before a request are skipped (RFC 9112 2.2)."""
    with server.connect() as connection:
        connection.sendall(b"\r\n\r\n")
        assert speak(connection, b"\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 200


def test_100_continue(server: Server) -> None:
    """A client that waits for leave to send its body gets it."""
    with server.connect() as connection:
        connection.sendall(
            b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert speak(connection, b"abc").json()["bytes"] == 3


def test_expecting_without_a_body_is_answered(server: Server) -> None:
    """A client that expects leave but has no body to send gets its answer."""
    with server.connect() as connection:
        request = b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n"
        assert speak(connection, request).status == 200


@pytest.mark.parametrize("path", ["/", "/stream", "/file"])
def test_head_has_no_body(server: Server, path: str) -> None:
    """HEAD is answered with the header alone, whatever the application gives."""
    with server.connect() as connection:
        request = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        header, end, body = read_to_end(connection).partition(b"\r\n\r\n")
    assert (header[:12], end, body) == (b"HTTP/1.1 200", b"\r\n\r\n", b"")


def test_a_connection_stays_usable_after_head(server: Server) -> None:
    """The answer to what follows a HEAD is the next one on the connection."""
    head = b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(
            head + head.replace(b"HEAD", b"GET").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        )
        received = read_to_end(connection)
    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert received.partition(b"\r\n\r\n")[2].startswith(b"HTTP/1.1 200 OK")


def test_one_byte_a_record(server: Server, clients: dict[str, Client]) -> None:
    """A request cut into records of one byte is a request like any other."""
    with server.connect(server.context(clients["P-256"])) as connection:
        for byte in b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhell":
            connection.sendall(bytes([byte]))
        assert speak(connection, b"o").json()["bytes"] == 5


def test_an_abrupt_end_hurts_no_other_client(server: Server) -> None:
    """Clients that vanish at any point leave no trace but free room."""
    before = len(server.log())
    request = b"POST /big HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
    for length in (0, 1, 20, len(request)):
        for reset in (False, True):
            connection = server.connect()
            connection.sendall(request[:length])
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
    assert server.ask().status == 200
    assert "Traceback" not in server.log()[before:]


def test_a_half_closed_connection_is_answered(server: Server) -> None:
    """A client that has said goodbye after its request still gets the answer."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as sock:
        sock.setblocking(True)
        connection = SSL.Connection(context, sock)
        connection.set_connect_state()
        connection.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.shutdown()
        received = 0
        with pytest.raises(SSL.ZeroReturnError):
            while True:
                received += len(connection.recv(65536))
        assert received > len(BIG)


def test_a_key_update_is_followed(server: Server) -> None:
    """TLS 1.3 clients may change keys in the middle of a connection."""
    command = ["openssl", "s_client", "-tls1_3", "-connect", f"127.0.0.1:{server.port}"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for _ in range(3):
            process.stdin.write(b"K\n")
            while next_line(process) != "KEYUPDATE":
                pass
        process.stdin.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b'"certificate": null' in process.stdout.read()
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_many_clients_at_once(server: Server, clients: dict[str, Client]) -> None:
    """Each of many concurrent connections shows its own certificate and no other."""
    kinds = list(clients) * 10

    def shown(kind: str) -> bool:
        with server.connect(server.context(clients[kind])) as connection:
            found = {ask(connection).json()["certificate"] for _ in range(5)}
        return found == {clients[kind].der.hex()}

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(shown, kinds))
