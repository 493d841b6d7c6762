"""One request over HTTP/2, its frames written as an attacker may write them: nothing in it is checked."""

import socket
import ssl
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tests.support.patience import SECONDS


@dataclass
class Stream:
    """The answer on one stream."""

    status: str = "cut off"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_open: bool = True
    is_whole: bool = False
    """Whether the server itself ended it."""
    tunnel: list[bytes] = field(default_factory=list)
    """The bytes that are sent once the stream is a tunnel."""


def exchange_h2(
    port: int,
    headers: tuple[tuple[str, str], ...],
    context: ssl.SSLContext,
    *,
    body: bytes | None = None,
    trailers: tuple[tuple[str, str], ...] = (),
    tunnel: bytes = b"",
) -> Stream:
    """Send one request over a new connection; bytes of a tunnel once it is answered by 200.

    The context is one for HTTP/2. Raises ProtocolError where this client could not write the request.
    """
    settings = h2.config.H2Configuration(
        validate_outbound_headers=False, normalize_outbound_headers=False, validate_inbound_headers=False
    )
    session = h2.connection.H2Connection(settings)
    stream, is_heard = Stream(tunnel=[tunnel] if tunnel else []), False
    try:
        with (
            socket.create_connection(("127.0.0.1", port), SECONDS) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as connection,
        ):
            assert connection.selected_alpn_protocol() == "h2"
            session.initiate_connection()
            ends = body is None and not tunnel
            session.send_headers(1, [(n.encode(), v.encode()) for n, v in headers], end_stream=ends)
            if body is not None:
                session.send_data(1, body, end_stream=not trailers)
            if trailers:
                session.send_headers(1, [(n.encode(), v.encode()) for n, v in trailers], end_stream=True)
            connection.sendall(session.data_to_send())
            while stream.is_open and (data := connection.recv(65536)):
                is_heard = True
                for event in session.receive_data(data):
                    _take(event, session, stream)
                connection.sendall(session.data_to_send())
    except OSError:
        pass
    except h2.exceptions.ProtocolError:
        if not is_heard:
            raise
    return stream


def _take(event: h2.events.Event, session: h2.connection.H2Connection, stream: Stream) -> None:
    """Take what came; begin to use a tunnel."""
    if isinstance(event, h2.events.ResponseReceived):
        stream.headers = {bytes(n).decode(): bytes(v).decode() for n, v in event.headers or []}
        stream.status = stream.headers.pop(":status")
        if stream.tunnel and stream.status == "200":
            session.send_data(1, stream.tunnel.pop(), end_stream=False)
        elif stream.tunnel:
            stream.is_open = False
    elif isinstance(event, h2.events.DataReceived):
        stream.body += event.data or b""
        session.acknowledge_received_data(event.flow_controlled_length or 0, 1)
    elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset | h2.events.ConnectionTerminated):
        stream.is_open = False
        stream.is_whole = stream.is_whole or isinstance(event, h2.events.StreamEnded)
