"""Clients of a proxy, which show its answers: HTTP/1.1 byte by byte, HTTP/2 frame by frame."""

import json
import socket
import ssl
import subprocess
from dataclasses import dataclass, field, replace
from functools import lru_cache
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
from envoy.service.auth.v3.attribute_context_pb2 import AttributeContext
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

from tests.support.certificate_spellings import pem
from tests.support.patience import SECONDS
from tests.support.proxies.http2 import exchange_h2
from tests.support.tls_servers import Client, read_answer

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Ask:
    """One request. Its headers are sent as they stand here, in this order."""

    path: str = "/invoices"
    method: str = "GET"
    headers: Headers = ()
    body: str = ""
    client: Client | None = None
    is_h2: bool = False
    source: str = "127.0.0.1"

    def text(self) -> bytes:
        """Return it as HTTP/1.1."""
        length = (("Content-Length", str(len(self.body))),) if self.body or self.method == "POST" else ()
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in (*length, *self.headers)]
        return ("\r\n".join(lines) + f"\r\n\r\n{self.body}").encode()


@dataclass(frozen=True)
class Reply:
    """An answer. `seen` is the request that arrived behind the proxy, None if none did."""

    outcome: str
    """The status, or how the connection ended without one."""
    headers: dict[str, str] = field(default_factory=dict)
    seen: dict[str, Any] | None = None
    is_resumed: bool = False
    body: bytes = b""

    @property
    def challenge(self) -> str:
        """The WWW-Authenticate field."""
        return self.headers.get("www-authenticate", "")

    def arrived(self, name: str) -> list[str]:
        """Return the values of a header behind the proxy under any name that some server takes for it."""
        assert self.seen is not None
        return [value for key, value in self.seen["headers"] if _folded(key) == _folded(name)]


def tls_context(ca: Path, client: Client | None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Return a client's context."""
    context = ssl.create_default_context(cafile=ca)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if client is not None:
        context.load_cert_chain(client.file)
    return context


def shared_context(ca: Path, client: Client | None, *, is_h2: bool = False) -> ssl.SSLContext:
    """Return a client's context that others have as well: none may change it."""
    return _shared(ca, client and client.file, client and client.file.read_bytes(), is_h2=is_h2)


@lru_cache(100)
def _shared(ca: Path, file: Path | None, content: bytes | None, *, is_h2: bool) -> ssl.SSLContext:
    """Make the context of what a file holds now."""
    assert (file is None) == (content is None)
    context = ssl.create_default_context(cafile=ca)
    if file is not None:
        context.load_cert_chain(file)
    if is_h2:
        context.set_alpn_protocols(["h2"])
    return context


def send(
    port: int, ask: Ask, context: ssl.SSLContext | None, session: ssl.SSLSession | None = None
) -> tuple[Reply, ssl.SSLSession | None]:
    """Send a request over a new connection; without a context in the clear. Return a session to resume."""
    try:
        with socket.create_connection(("127.0.0.1", port), SECONDS, (ask.source, 0)) as raw:
            if context is None:
                return _exchange(raw, ask), None
            with context.wrap_socket(raw, server_hostname="localhost", session=session) as connection:
                reply = _exchange(connection, ask)
                return reply, connection.session
    except ssl.SSLError as error:
        return Reply("handshake refused" if "ALERT" in (error.reason or "") else "cut off"), None
    except (OSError, HTTPException):
        return Reply("cut off"), None


def send_unix(path: Path, ask: Ask) -> Reply:
    """Send a request to a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(SECONDS)
        connection.connect(str(path))
        return _exchange(connection, ask)


def send_h2(port: int, ask: Ask, ca: Path) -> Reply:
    """Send a request over HTTP/2."""
    pseudo = ((":method", ask.method), (":scheme", "https"), (":authority", "localhost"), (":path", ask.path))
    fields = tuple((name.lower(), value) for name, value in ask.headers)
    length = (("content-length", str(len(ask.body))),) if ask.body else ()
    answer = exchange_h2(
        port,
        (*pseudo, *length, *fields),
        shared_context(ca, ask.client, is_h2=True),
        body=ask.body.encode() or None,
    )
    if not answer.is_whole:
        return Reply("cut off")
    return _reply(int(answer.status), answer.headers, answer.body)


def send_by_curl(port: int, ask: Ask, ca: Path) -> Reply:
    """Send a request without a body over HTTP/2 as curl does, whose HTTP/2 is not that of these tests."""
    command = ["curl", "--silent", "--http2", "--include", "--max-time", str(SECONDS), "--path-as-is"]
    command += ["--cacert", str(ca), "--resolve", f"localhost:{port}:127.0.0.1", "--request", ask.method]
    command += ["--cert", str(ask.client.file)] if ask.client else []
    for name, value in ask.headers:
        command += ["--header", f"{name}: {value}"]
    done = subprocess.run(
        [*command, f"https://localhost:{port}{ask.path}"], capture_output=True, check=False, cwd=ca.parent
    )
    assert done.returncode == 0, done
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    version, status, *_ = line.split(" ")
    assert version == "HTTP/2", line
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in fields)}
    return _reply(int(status), headers, body)


def send_grpc(port: int, ask: Ask, claimed: Client) -> Reply:
    """Ask a gateway as Envoy does, about a request over a connection with this certificate."""
    headers = {name.lower(): value for name, value in ask.headers}
    request = CheckRequest()
    request.attributes.request.http.CopyFrom(
        AttributeContext.HttpRequest(method=ask.method, path=ask.path, headers=headers)
    )
    request.attributes.source.certificate = quote(pem(claimed.der), safe="")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        check = channel.unary_unary(
            "/envoy.service.auth.v3.Authorization/Check",
            request_serializer=CheckRequest.SerializeToString,
            response_deserializer=CheckResponse.FromString,
        )
        try:
            response = check(request, timeout=SECONDS)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.PERMISSION_DENIED, error
            return Reply("403")
        return Reply(str(response.denied_response.status.code or 200))


def _exchange(connection: socket.socket, ask: Ask) -> Reply:
    connection.sendall(ask.text())
    response = HTTPResponse(connection, method=ask.method)
    response.begin()
    answer = read_answer(response)
    is_resumed = isinstance(connection, ssl.SSLSocket) and bool(connection.session_reused)
    return replace(_reply(answer.status, answer.headers, answer.body), is_resumed=is_resumed)


def _reply(status: int, headers: dict[str, str], body: bytes) -> Reply:
    seen = json.loads(body) if headers.get("content-type") == UPSTREAM_TYPE else None
    return Reply(str(status), headers, seen, body=body)


def _folded(name: str) -> str:
    """Return the name without what could make an alias of it."""
    return "".join(c for c in name.lower() if c.isalnum())


UPSTREAM_TYPE = "application/seen+json"
"""The content type by which a server behind a proxy shows that it answers, and not the proxy."""
