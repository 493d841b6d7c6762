"""Server processes of these tests, and how to ask them."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from tests.support import fork_server
from tests.support.tls_servers import ROOT, end, next_line


@dataclass
class Running:
    """A server to connect to."""

    port: int
    unix: str | None
    log: Path

    def connect(self) -> socket.socket:
        """Return a connection."""
        if self.unix is None:
            return socket.create_connection(("127.0.0.1", self.port), 20)
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(20)
        sock.connect(self.unix)
        return sock

    def ask(self, *lines: str, text: str | None = None) -> tuple[int, Any]:
        """Send one request, whose first line may be left out; return status and body."""
        with self.connect() as sock:
            return ask(sock, *lines, text=text)[:2]


def ask(sock: socket.socket, *lines: str, text: str | None = None) -> tuple[int, Any, Any]:
    """Send one request over this connection; return status, body and headers."""
    first, *rest = lines if lines and lines[0].endswith("HTTP/1.1") else ("GET /invoices HTTP/1.1", *lines)
    if text is not None:
        rest.append(f"Authorization: Bearer {text}")
    sock.sendall("\r\n".join([first, "Host: api.example", *rest, "", ""]).encode())
    response = HTTPResponse(sock, method=first.split(" ")[0])
    response.begin()
    body = response.read()
    return response.status, body, response.headers


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Running]:
    """Run a server process until the block ends."""
    with (folder / "log").open("ab") as log:
        process = fork_server.Popen(
            [
                sys.executable,
                "-m",
                "tests.support.adapter_server",
                json.dumps({"folder": str(folder), **settings}),
            ],
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
    try:
        line = next_line(process)
        assert line.startswith("ready "), line
        yield Running(int(line.split()[1]), settings.get("unix"), folder / "log")
    finally:
        end(process)
