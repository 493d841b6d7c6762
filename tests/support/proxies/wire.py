"""Bytes of HTTP/1.1 and frames of HTTP/2 as an attacker writes them, where a client library would refuse."""

import re
import socket
import ssl
from dataclasses import dataclass

from tests.support.proxies.clients import Headers
from tests.support.proxies.http2 import SECONDS, exchange_h2

LAST = b"GET /health?last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
"""The request that ends a conversation. In a tunnel the server behind takes it for one of its own."""
_STATUS = re.compile(rb"^HTTP/1\.[01] (\d{3})", re.MULTILINE)


@dataclass(frozen=True)
class Raw:
    """The bytes that came back on one connection."""

    statuses: list[str]
    """Of each answer; empty where the connection ended without one."""
    text: bytes = b""

    @property
    def outcome(self) -> str:
        """The first answer's status."""
        return self.statuses[0] if self.statuses else "cut off"


def converse(port: int, data: bytes, context: ssl.SSLContext, before: bytes = b"") -> Raw:
    """Send bytes and a last request over TLS; return what came until that was answered, or all was over."""
    received = b""
    try:
        with socket.create_connection(("127.0.0.1", port), SECONDS) as raw:
            raw.sendall(before)
            with context.wrap_socket(raw, server_hostname="localhost") as connection:
                connection.sendall(data + LAST)
                is_tunnel = False
                while b"?last" not in received and (piece := connection.recv(65536)):
                    received += piece
                    if not is_tunnel and received.startswith(b"HTTP/1.1 101"):
                        is_tunnel = True
                        connection.sendall(LAST)
    except OSError:
        pass  # a proxy may end a connection as it likes
    return Raw([status.decode() for status in _STATUS.findall(received)], received)


def converse_h2(
    port: int,
    headers: Headers,
    context: ssl.SSLContext,
    *,
    body: bytes | None = None,
    trailers: Headers = (),
    tunnel: bytes = b"",
) -> Raw:
    """Send one request over HTTP/2, nothing in it checked; bytes of a tunnel once it is answered by 200."""
    stream = exchange_h2(port, headers, context, body=body, trailers=trailers, tunnel=tunnel)
    return Raw([stream.status], stream.body)
