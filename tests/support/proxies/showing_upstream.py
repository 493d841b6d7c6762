"""The server behind a proxy that hides nothing: trailers count as headers, and every upgrade is accepted."""

import base64
import hashlib
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from tests.support.proxies.clients import UPSTREAM_TYPE

Fields = list[tuple[str, str]]
_CLOSE = 0x88
_WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class _Showing(socketserver.StreamRequestHandler):
    """Answers every request with what it consists of, and takes the bytes of a tunnel for further requests.

    Trailers are appended to the headers, as uvicorn does with httptools. What begins a WebSocket's frame is
    sent back as it came.
    """

    timeout = 60

    def handle(self) -> None:
        is_tunnel = False
        while first := self.rfile.peek(1)[:1]:  # type: ignore[attr-defined]
            if is_tunnel and first > b"\x7f":
                if self._echo() == _CLOSE:
                    return
                continue
            seen = self._read(is_tunnel=is_tunnel)
            cast("_Quiet", self.server).arrivals.append(seen)
            fields = {name.lower(): value for name, value in seen["headers"]}
            if "upgrade" in fields:
                is_tunnel = True
                self.wfile.write(_switching(fields))
                continue
            content = json.dumps(seen).encode()
            head = (
                f"HTTP/1.1 200 OK\r\nContent-Type: {UPSTREAM_TYPE}\r\nContent-Length: {len(content)}\r\n\r\n"
            )
            self.wfile.write(head.encode() + content)
            if is_tunnel:
                return

    def _read(self, *, is_tunnel: bool) -> dict[str, Any]:
        line = self.rfile.readline().decode("latin-1").strip()
        fields = self._fields()
        body, trailers = self._body({name.lower(): value for name, value in fields})
        return {
            "line": line,
            "headers": fields + trailers,
            "trailers": trailers,
            "body": body.decode("latin-1"),
            "is_tunnel": is_tunnel,
        }

    def _fields(self) -> Fields:
        fields = []
        while (text := self.rfile.readline().decode("latin-1").rstrip("\r\n")) != "":
            name, _, value = text.partition(":")
            fields.append((name, value.strip()))
        return fields

    def _body(self, fields: dict[str, str]) -> tuple[bytes, Fields]:
        if fields.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(fields.get("content-length", "0"))), []
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size + 2)[:-2])
        return b"".join(pieces), self._fields()

    def _echo(self) -> int:
        """Send back one short frame of a WebSocket, unmasked; return which kind it was."""
        kind, length = self.rfile.read(2)
        mask = self.rfile.read(4)
        content = bytes(byte ^ mask[i % 4] for i, byte in enumerate(self.rfile.read(length & 0x7F)))
        self.wfile.write(bytes((kind, len(content))) + content)
        return kind


def _switching(fields: dict[str, str]) -> bytes:
    """Return 101 for whatever was asked for first, as a WebSocket's client wants it where it is one."""
    key = fields.get("sec-websocket-key", "") + _WEBSOCKET
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    protocol = fields["upgrade"].partition(",")[0] or "any"
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Connection: Upgrade",
        f"Upgrade: {protocol}",
        f"Sec-WebSocket-Accept: {accept}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class _Quiet(socketserver.BaseServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    arrivals: list[dict[str, Any]]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when a proxy is ended while a connection is open."""


class _TcpServer(_Quiet, socketserver.ThreadingTCPServer):
    pass


class _UnixServer(_Quiet, socketserver.ThreadingUnixStreamServer):
    pass


@dataclass(frozen=True)
class Showing:
    """A running server that shows what arrives, at a port and at the path of a Unix socket."""

    port: int
    socket: Path
    arrivals: list[dict[str, Any]] = field(default_factory=list)
    """Every request so far, whether or not its answer came through."""


@contextmanager
def showing_upstream(path: Path) -> Iterator[Showing]:
    """Run a server that shows what arrives until the block ends."""
    with _TcpServer(("127.0.0.1", 0), _Showing) as server, _UnixServer(str(path), _Showing) as unix_server:
        path.chmod(0o666)
        showing = Showing(server.server_address[1], path)
        server.arrivals = unix_server.arrivals = showing.arrivals
        with _serving(server), _serving(unix_server):
            yield showing


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
