"""An issuer's server on loopback: real TLS in a thread, whose documents a test changes as it runs."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from macaroon_cbat.service.federation.reaching import Place
from macaroon_cbat.tls.development_ca import development_certificates

DISCOVERY = "/.well-known/openid-configuration"
METADATA = "/.well-known/oauth-authorization-server"


@dataclass(frozen=True)
class Document:
    """One answer; with `gate`, it comes once the gate is open."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    gate: threading.Event | None = None


@dataclass
class KeyServer:
    """The server: its documents by path, and the paths that were requested."""

    url: str
    ca: str
    documents: dict[str, Document] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    reached: threading.Event = field(default_factory=threading.Event)

    def publish(self, path: str, members: Any, **changes: Any) -> None:
        """Answer at a path with this JSON value, or with these bytes."""
        body = members if isinstance(members, bytes) else json.dumps(members).encode()
        self.documents[path] = Document(body, **changes)

    def begin_again(self) -> None:
        """Forget every document and request."""
        self.documents.clear()
        self.asked.clear()
        self.reached.clear()

    def place(self, path: str | None = "/jwks", **changes: Any) -> Place:
        """Return the place of a key set here, as an operator names it; None for discovery."""
        members = {"ca": self.ca, "private_addresses": True, **changes}
        issuer = members.pop("issuer", self.url)
        return Place(issuer, None if path is None else self.url + path, **members)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer with the document at the path."""
        server: KeyServer = self.server.keys  # type: ignore[attr-defined]
        server.asked.append(self.path)
        server.reached.set()
        document = server.documents.get(self.path, Document(b"", 404))
        if document.gate is not None:
            document.gate.wait(60)
        self.close_connection = True
        self.send_response(document.status)
        self.send_header("Content-Length", str(len(document.body)))
        for name, value in document.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(document.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # as http.server names it
        """Say nothing."""


@contextmanager
def key_server(folder: Path) -> Iterator[KeyServer]:
    """Run the server until the block ends."""
    files = development_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client may break off
        server.socket = context.wrap_socket(server.socket, server_side=True)
        keys = KeyServer(f"https://localhost:{server.server_port}", files.ca.read_text())
        server.keys = keys  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield keys
        finally:
            server.shutdown()
            thread.join()
