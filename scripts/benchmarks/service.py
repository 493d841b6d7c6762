"""Requests per second of the token endpoint over mutual TLS with keep-alive, beside a bare application.

The load comes from processes of this same machine, so the figures are floors: compare the lines of
one run with each other.
"""

import multiprocessing
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import trustme

PROCESSES, CONNECTIONS, ROUNDS = 2, 8, 3
BARE = """
import sys
from functools import partial
from pathlib import Path
from macaroon_cbat.tls import serve

def app(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return [b"{}"]

folder, port, workers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
serve(lambda: app, port=port, workers=workers, certificate=folder / "server.pem", key=folder / "server.key",
      on_ready=lambda *_: print("ready", flush=True))
"""


@dataclass(frozen=True, slots=True)
class Throughput:
    """What one server did in one second, in the best and the middle of several rounds."""

    name: str
    requests_per_second: float
    median_requests_per_second: float


def throughput(seconds: float) -> list[Throughput]:
    """Return the figures of the token endpoint and of the bare application, with 1 and 2 workers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        request = _prepare(folder)
        load = partial(_load, folder, request, seconds)
        return [
            _measured(f"{title}, workers: {workers}", partial(command, folder, workers), load)
            for workers in (1, 2)
            for title, command in (("token endpoint", _service), ("bare application", _bare))
        ]


def _service(folder: Path, workers: int, port: int) -> list[str]:
    return [
        "-m",
        "macaroon_cbat",
        "serve",
        "--data",
        str(folder),
        "--port",
        str(port),
        "--workers",
        str(workers),
    ]


def _bare(folder: Path, workers: int, port: int) -> list[str]:
    return ["-c", BARE, str(folder), str(port), str(workers)]


def _measured(name: str, command: Callable[[int], list[str]], load: Callable[[int], float]) -> Throughput:
    port = free_port()
    with _running(command(port)):
        rounds = [load(port) for _ in range(ROUNDS)]
    return Throughput(name, max(rounds), median(rounds))


def _prepare(folder: Path) -> bytes:
    """Register a client, make its certificate, and return the one request that is sent."""
    secret = folder / "secret"
    subprocess.run(
        [sys.executable, "-m", "macaroon_cbat", "client", "add", "load", "--scope", "read", "--audience",
         "https://api.example", "--bound", "--secret-file", str(secret), "--data", str(folder)],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    certificate = trustme.CA().issue_cert("load@example.org")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
    credentials = b64encode(b"load:" + secret.read_bytes().strip()).decode()
    body = "grant_type=client_credentials&scope=read"
    return (
        f"POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {credentials}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _load(folder: Path, request: bytes, seconds: float, port: int) -> float:
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        work = [(folder, port, request, seconds)] * PROCESSES
        return sum(pool.starmap(_answers_per_second, work))


def _answers_per_second(folder: Path, port: int, request: bytes, seconds: float) -> float:
    """Keep one request under way on each of several connections; return the answers that came in a second."""
    connections = [_connected(folder, port) for _ in range(CONNECTIONS)]
    for connection in connections:
        connection.sendall(request)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for connection in connections:
            answer = connection.recv(16384)
            while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
                answer += connection.recv(16384)
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"unexpected answer: {answer[:200]!r}")
            connection.sendall(request)
            count += 1
    return count / (time.perf_counter() - start)


def _connected(folder: Path, port: int) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "client.pem")
    raw = socket.create_connection(("127.0.0.1", port), timeout=30)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(raw, server_hostname="localhost")


@contextmanager
def _running(arguments: list[str]) -> Iterator[None]:
    """Run a server until the block ends; it is ready when it prints its first line."""
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError(f"the server did not start: {arguments}")
            yield
        finally:
            process.terminate()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
