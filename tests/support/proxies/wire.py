"""Bytes of HTTP/1.1 and frames of HTTP/2 as an attacker writes them, where a client library would refuse."""

import re
import socket
import ssl
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tests.support.proxies.clients import Headers

SECONDS = 20
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


@dataclass
class _Stream:
    status: str = "cut off"
    body: bytes = b""
    is_open: bool = True
    tunnel: list[bytes] = field(default_factory=list)


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
    settings = h2.config.H2Configuration(
        validate_outbound_headers=False, normalize_outbound_headers=False, validate_inbound_headers=False
    )
    session = h2.connection.H2Connection(settings)
    stream = _Stream(tunnel=[tunnel] if tunnel else [])
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection(("127.0.0.1", port), SECONDS) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as connection,
        ):
            session.initiate_connection()
            ends = body is None and not tunnel
            session.send_headers(1, [(n.encode(), v.encode()) for n, v in headers], end_stream=ends)
            if body is not None:
                session.send_data(1, body, end_stream=not trailers)
            if trailers:
                session.send_headers(1, [(n.encode(), v.encode()) for n, v in trailers], end_stream=True)
            connection.sendall(session.data_to_send())
            while stream.is_open and (data := connection.recv(65536)):
                for event in session.receive_data(data):
                    _take(event, session, stream)
                connection.sendall(session.data_to_send())
    except (OSError, h2.exceptions.ProtocolError):
        pass
    return Raw([stream.status], stream.body)


def _take(event: h2.events.Event, session: h2.connection.H2Connection, stream: _Stream) -> None:
    """Take what came; begin to use a tunnel."""
    if isinstance(event, h2.events.ResponseReceived):
        stream.status = next(bytes(v).decode() for n, v in event.headers or [] if n == b":status")
        if stream.tunnel and stream.status == "200":
            session.send_data(1, stream.tunnel.pop(), end_stream=False)
        elif stream.tunnel:
            stream.is_open = False
    elif isinstance(event, h2.events.DataReceived):
        stream.body += event.data or b""
        session.acknowledge_received_data(event.flow_controlled_length or 0, 1)
    elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset | h2.events.ConnectionTerminated):
        stream.is_open = False
