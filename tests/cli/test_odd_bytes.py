"""Odd bytes over real TLS: the embedded server answers all of them below 500, or not at all."""

import socket
import ssl
from urllib.parse import urlsplit

import pytest

TOKEN = b"POST /oauth2/token HTTP/1.1\r\n"
ODD = {
    "Latin-1 in Basic": TOKEN + b"Authorization: Basic \xe9\r\n",
    "NUL in Basic": TOKEN + b"Authorization: Basic AA\0AA\r\n",
    "Basic of 9,000 characters": TOKEN + b"Authorization: Basic " + b"A" * 9_000 + b"\r\n",
    "Basic twice": TOKEN + b"Authorization: Basic QTpC\r\n" * 2,
    "Latin-1 in Bearer": b"GET /admin/clients HTTP/1.1\r\nAuthorization: Bearer \xe9\r\n",
    "Latin-1 in the query": b"GET /admin/clients?after=\xe9 HTTP/1.1\r\nAuthorization: Bearer A\r\n",
    "no UTF-8 in the query": b"POST /oauth2/introspect?\xff\xfe HTTP/1.1\r\n",
    "Latin-1 in the path": b"GET /admin/clients/\xe9 HTTP/1.1\r\n",
    "encoded Latin-1 in the path": b"GET /admin/clients/%e9 HTTP/1.1\r\n",
    "encoded NUL in the path": b"GET /admin/clients/%00 HTTP/1.1\r\n",
    "an encoded line end in the path": b"GET /oauth2/token%0d%0aX:%20y HTTP/1.1\r\n",
    "Latin-1 in the content type": TOKEN + b"Content-Type: text/\xe9; charset=\xe9\r\n",
    "Latin-1 in the method": b"G\xc9T /oauth2/token HTTP/1.1\r\n",
    "Latin-1 in a header's name": b"GET / HTTP/1.1\r\nX-\xe9: 1\r\n",
    "a negative content length": TOKEN + b"Content-Length: -1\r\n",
    "digits of another script": TOKEN + b"Content-Length: \xd9\xa3\r\n",
    "an odd target": b"POST [::1 HTTP/1.1\r\n",
    "an odd authority": b"GET https://[::1/openapi.json HTTP/1.1\r\n",
}


@pytest.mark.parametrize("head", ODD.values(), ids=ODD)
def test_odd_bytes_over_tls_are_no_failure(served, head):
    """The server answers odd bytes by 4xx, or closes the connection, and then answers the next request."""
    assert status_of(served, head) in (b"", b"400", b"401", b"404", b"405", b"415", b"431")
    assert status_of(served, b"GET /openapi.json HTTP/1.1\r\n") == b"200"


def status_of(served, head: bytes) -> bytes:
    """Return the status of the answer; nothing when the connection closes without one."""
    context = ssl.create_default_context(cafile=served.data / "ca.pem")
    address = ("127.0.0.1", urlsplit(served.issuer).port)
    with (
        socket.create_connection(address, 30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(head + b"Host: localhost\r\nConnection: close\r\n\r\n")
        answer = connection.makefile("rb").read()
    return answer[9:12]
