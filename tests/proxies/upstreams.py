"""The servers behind a proxy: one that shows what arrived, and a Flask application that guards itself."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import waitress
from flask import Flask, Response, request

from macaroon_cbat.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.resource import Guard, current_principal
from tests.core.material import KEYS
from tests.proxies.clients import UPSTREAM_TYPE

METHODS = ["GET", "POST"]


class _Showing(socketserver.StreamRequestHandler):
    """Answers every request with what it consists of, line by line."""

    timeout = 60

    def handle(self) -> None:
        while line := self.rfile.readline():
            fields = []
            while (text := self.rfile.readline().decode("latin-1").rstrip("\r\n")) != "":
                name, _, value = text.partition(":")
                fields.append((name, value.strip()))
            body = self._body({name.lower(): value for name, value in fields})
            seen = {"line": line.decode("latin-1").strip(), "headers": fields, "body": body.decode("latin-1")}
            content = json.dumps(seen).encode()
            head = (
                f"HTTP/1.1 200 OK\r\nContent-Type: {UPSTREAM_TYPE}\r\nContent-Length: {len(content)}\r\n\r\n"
            )
            self.wfile.write(head.encode() + content)

    def _body(self, fields: dict[str, str]) -> bytes:
        if fields.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(fields.get("content-length", "0")))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size + 2)[:-2])
        self.rfile.readline()
        return b"".join(pieces)


class _Quiet:
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when a proxy is ended while a connection is open."""


class _TcpServer(_Quiet, socketserver.ThreadingTCPServer):
    pass


class _UnixServer(_Quiet, socketserver.ThreadingUnixStreamServer):
    pass


@contextmanager
def showing_upstream(path: Path) -> Iterator[int]:
    """Run a server that shows what arrives, at a port and at the path of a Unix socket; give the port."""
    with _TcpServer(("127.0.0.1", 0), _Showing) as server, _UnixServer(str(path), _Showing) as unix_server:
        path.chmod(0o666)
        with _serving(server), _serving(unix_server):
            yield server.server_address[1]


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def guarded_app(certificate_format: str, secret: str) -> Flask:
    """Return an application that believes this format from a proxy on this machine with the secret."""
    trust = trusted_proxies(["127.0.0.1/32"], secret=secret)
    app = Flask("behind a proxy")
    guard = Guard(app, keys=KEYS, peer=Forwarded(certificate_format, trust=trust))

    @app.route("/invoices", methods=["GET"], endpoint="read")
    @app.route("/invoices/7", methods=["GET"], endpoint="read")
    @guard.require("read")
    def read() -> Response:
        return _seen(current_principal.client_id)

    @app.route("/invoices", methods=["POST"], endpoint="write")
    @guard.require("write")
    def write() -> Response:
        return _seen(current_principal.client_id)

    @app.route("/health", methods=METHODS)
    def health() -> Response:
        return _seen("")

    return app


def _seen(client: str) -> Response:
    """Tell what arrived, as the other upstream does, and who it came from."""
    query = request.query_string.decode()
    seen = {
        "line": f"{request.method} {request.path}{f'?{query}' if query else ''}",
        "headers": list(request.headers),
        "body": request.get_data(as_text=True),
        "client": client,
    }
    return Response(json.dumps(seen), content_type=UPSTREAM_TYPE)


@contextmanager
def guarded_upstream(certificate_format: str, secret: str) -> Iterator[int]:
    """Run the guarded application on waitress; give its port."""
    app = guarded_app(certificate_format, secret)
    server = waitress.create_server(app, host="127.0.0.1", port=0, threads=4)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield int(server.effective_port)
    finally:
        server.task_dispatcher.shutdown()
        server.close()
        thread.join(10)
