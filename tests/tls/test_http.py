import ssl
from http.client import HTTPResponse

import pytest

from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE
from tests.support.tls_servers import (
    Server,
    read_to_end,
    speak,
)

LIMIT = 1 << 20


def environ_of(server: Server, header: str) -> dict[str, object]:
    """Return what the application sees of a request with this header line."""
    request = f"GET /a%20b?c=d HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n"
    with server.connect() as connection:
        found: dict[str, object] = speak(connection, request.encode()).json()["environ"]
    return found


def test_the_environment_says_https(server: Server) -> None:
    """The application learns scheme, address and target of the request as they are."""
    environ = environ_of(server, "X-A: b")
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["REQUEST_URI"] == "/a%20b?c=d"
    assert environ["PATH_INFO"] == "/a b"
    assert environ["QUERY_STRING"] == "c=d"
    assert environ["SERVER_PORT"] == str(server.port)
    assert environ["REMOTE_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize(
    "name",
    [
        PEER_CERTIFICATE,
        "macaroon-cbat.peer-certificate",
        "HTTP_" + PEER_CERTIFICATE,
        PEER_CERTIFICATE.upper(),
    ],
)
def test_no_header_is_a_certificate(server: Server, name: str) -> None:
    """The certificate is that of the connection, here none, whatever header a client invents."""
    with server.connect() as connection:
        request = f"GET / HTTP/1.1\r\nHost: localhost\r\n{name}: evil\r\n\r\n"
        assert speak(connection, request.encode()).json()["certificate"] is None


def test_headers_with_underscores_never_arrive(server: Server) -> None:
    """A header whose spelling would merge with another's is dropped."""
    environ = environ_of(server, "X_Own_Name: evil\r\nX-Own-Name: good\r\nX-Own_Name: evil")
    assert environ["HTTP_X_OWN_NAME"] == "good"
    assert "HTTP_AUTHORI_ZATION" not in environ_of(server, "Authori_zation: evil")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: b\rc\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (LIMIT + 1), 413),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: %s\r\n\r\n" % (b"a" * 70_000), 431),
        (b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"a" * 8192), 414),
        (b"GET /fail HTTP/1.1\r\nHost: localhost\r\nAuthorization: secret\r\n\r\n", 500),
        (b"GET /exit HTTP/1.1\r\nHost: localhost\r\n\r\n", 500),
    ],
)
def test_errors_are_json(server: Server, request_bytes: bytes, status: int) -> None:
    """The server's own error answers are JSON with an OAuth error code, and are not cached."""
    with server.connect() as connection:
        answer = speak(connection, request_bytes)
        assert connection.recv(100) == b""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"error", "error_description"}
    assert answer.json()["error"] == ("server_error" if status == 500 else "invalid_request")
    assert b"secret" not in answer.body
    assert b"Traceback" not in answer.body


def test_nothing_secret_is_logged(server: Server) -> None:
    """Neither header nor query of a request that fails reaches the log."""
    with server.connect() as connection:
        head = b"Host: localhost\r\nAuthorization: confidential\r\n\r\n"
        speak(connection, b"GET /fail?token=confidential HTTP/1.1\r\n" + head)
    with server.connect() as connection:
        speak(connection, b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: confidential\rx\r\n\r\n")
    assert "the application failed at GET /fail" in server.log()
    assert "confidential" not in server.log()


def test_the_body_limit_is_exact(server: Server) -> None:
    """A body of exactly the limit is served."""
    answer = server.ask("/echo", method="POST", body=b"x" * LIMIT)
    assert answer.json()["bytes"] == LIMIT


def test_the_target_limit_is_exact(server: Server) -> None:
    """A target of 8,192 bytes is served."""
    assert server.ask("/" + "a" * 8191).json()["environ"]["REQUEST_URI"] == "/" + "a" * 8191


def test_a_chunked_body_beyond_the_limit_is_refused(server: Server) -> None:
    """A body without a declared length is cut off at the limit, and the client can read why."""
    with server.connect() as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
        response = HTTPResponse(connection)
        for _ in range(LIMIT // 0x8000 + 1):
            connection.sendall(chunk)
        response.begin()
        assert response.status == 413


def test_a_broken_response_is_not_passed_off_as_whole(server: Server) -> None:
    """The connection ends without TLS's goodbye when the application fails midway."""
    with server.connect(suppress_ragged_eofs=False) as connection:
        connection.sendall(b"GET /broken HTTP/1.0\r\n\r\n")
        with pytest.raises(ssl.SSLEOFError):
            read_to_end(connection)
