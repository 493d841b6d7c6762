"""Run real servers, and speak to them in raw bytes."""

import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import fork_server
from tests.support.patience import SECONDS
from tests.support.ports import free_port

_UNVERIFIED = ssl.create_default_context()
_UNVERIFIED.check_hostname, _UNVERIFIED.verify_mode = False, ssl.CERT_NONE


@dataclass(frozen=True)
class Server:
    """A running server, at a port of this machine or at a Unix socket."""

    bind: str
    log: Path
    is_tls: bool = False

    def connect(self, address: str = "127.0.0.1", context: ssl.SSLContext = _UNVERIFIED) -> socket.socket:
        """Return a new connection, from this address where the server has a port."""
        if not self.bind.startswith("unix:"):
            where = ("127.0.0.1", int(self.bind))
            made = socket.create_connection(where, SECONDS, source_address=(address, 0))
            return context.wrap_socket(made) if self.is_tls else made
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(SECONDS)
            connection.connect(self.bind[5:])
        except OSError:
            connection.close()
            raise
        return connection

    def send(
        self, path: str, *lines: str, connection: socket.socket | None = None, before: bytes = b""
    ) -> tuple[int, Any]:
        """Send one request with exactly these header lines; return status and JSON."""
        head = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *lines, "", ""]
        return self.exchange(before + "\r\n".join(head).encode("latin-1"), connection)

    def send_with_trailers(self, path: str, lines: Iterable[str], trailers: Iterable[str]) -> tuple[int, Any]:
        """Send one request with a body in chunks, and trailers after it, all at once."""
        head = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close", *lines]
        chunks = ["Transfer-Encoding: chunked", "", "3", "abc", "0", *trailers, "", ""]
        return self.exchange("\r\n".join([*head, *chunks]).encode("latin-1"))

    def exchange(self, raw: bytes, connection: socket.socket | None = None) -> tuple[int, Any]:
        """Send these bytes; return status and JSON of the answer to them."""
        with connection or self.connect() as sock:
            sock.sendall(raw)
            answer = b""
            while part := sock.recv(65_536):
                answer += part
        header, _, body = answer.partition(b"\r\n\r\n")
        status = int(header.split()[1])
        if b"transfer-encoding: chunked" in header.lower():
            body = b"".join(re.findall(rb"(?s)[0-9A-Fa-f]+\r\n(.*?)\r\n", body))
        return status, json.loads(body) if body.startswith(b"{") else body


@contextmanager
def running(
    name: str,
    bind: str,
    folder: Path,
    *,
    proxy: Any = None,
    variables: Mapping[str, str] | None = None,
    **options: Any,
) -> Iterator[Server]:
    """Run this server until the block ends; bind `tcp` is any free port."""
    if bind == "tcp":
        bind = str(free_port())
    server = Server(bind, folder / f"{name}.log", is_tls=name == "embedded")
    environment = {**os.environ, **(variables or {})}
    environment |= {} if proxy is None else {"PROXY": json.dumps(proxy)}
    command = [sys.executable, "-m", "tests.support.servers.serving", name, bind, json.dumps(options)]
    with server.log.open("wb") as log:
        process = fork_server.Popen(command, stdout=log, stderr=log, env=environment)
    with answering(server, process):
        yield server


@contextmanager
def answering(server: "Server", process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Wait until a server answers; end it by its process id when the block ends."""
    try:
        wait_for(server, process)
        yield
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, server.log.read_text()
        try:
            server.connect().close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(server.log.read_text())
