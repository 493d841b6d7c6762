"""Requests per second of the token endpoint over mutual TLS with keep-alive, beside a bare application.

The load comes from processes of this same machine, so the figures are floors: compare the lines of
one run with each other.
"""

import atexit
import multiprocessing
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing.pool import Pool
from pathlib import Path
from statistics import median
from typing import Any

import trustme
from timing import Extent

from macaroon_cbat.stores.wrapping_key import new_wrapping_key_text
from tests.support.ports import free_port
from tests.support.postgresql import Postgres, postgres
from tests.support.service_process import in_process

PROCESSES, CONNECTIONS = 2, 8
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
    """The work of one server in one second, in the best and the middle of several rounds."""

    name: str
    requests_per_second: float
    median_requests_per_second: float
    p99_milliseconds: float | None = None
    """The time that 99 of 100 answers take at most, in the median round; None if it is not measured."""


def throughput(extent: Extent) -> list[Throughput]:
    """Return the figures of the token endpoint on both databases, and of the bare application.

    With as many workers, all three serve at the same time and take turns at being asked.
    """
    with (
        multiprocessing.get_context("fork").Pool(PROCESSES) as pool,
        tempfile.TemporaryDirectory() as name,
    ):
        folder = Path(name)
        environments = databases(folder)
        requests = {title: _prepare(folder, environment) for title, environment in environments.items()}
        lines = []
        for workers in extent.workers:
            servers = [
                _Server(f"tokens on {title}", _service(folder, workers), environment, requests[title])
                for title, environment in environments.items()
            ]
            servers.append(_Server("bare application", _bare(folder, workers), {}, servers[0].request))
            lines += _measured(
                servers, extent.load_rounds, partial(_load, pool, folder, extent.seconds), workers
            )
        return lines


def databases(folder: Path) -> dict[str, dict[str, str]]:
    """Say in the environment where the database is: in this folder, and in a PostgreSQL server."""
    url = {
        "MACAROON_CBAT_DATABASE_URL": _postgres().new_database(),
        "MACAROON_CBAT_WRAPPING_KEY": new_wrapping_key_text(),
    }
    data = {"MACAROON_CBAT_DATA": str(folder)}
    return {"SQLite": data, "PostgreSQL": data | url}


@cache
def _postgres() -> Postgres:
    """Start the server that all groups use, which ends with this process."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(postgres(outlives="power cuts"))


@dataclass(frozen=True, slots=True)
class _Server:
    """One server, how it is started, and what it is asked."""

    name: str
    command: Callable[[int], list[str]]
    environment: dict[str, str]
    request: bytes


def _service(folder: Path, workers: int) -> Callable[[int], list[str]]:
    fixed = ["-m", "macaroon_cbat", "serve", "--data", str(folder), "--workers", str(workers)]
    return lambda port: [*fixed, "--port", str(port)]


def _bare(folder: Path, workers: int) -> Callable[[int], list[str]]:
    return lambda port: ["-c", BARE, str(folder), str(port), str(workers)]


def _measured(
    servers: list[_Server], count: int, load: Callable[[bytes, int], float], workers: int
) -> list[Throughput]:
    """Run the servers at once, and ask one after the other, round by round."""
    with ExitStack() as stack:
        ports = [free_port() for _ in servers]
        for server, port in zip(servers, ports, strict=True):
            stack.enter_context(running(server.command(port), **server.environment))
        rounds: list[list[float]] = [[] for _ in servers]
        for _ in range(count):
            for server, port, spent in zip(servers, ports, rounds, strict=True):
                spent.append(load(server.request, port))
    return [
        Throughput(f"{server.name}, workers: {workers}", max(spent), median(spent))
        for server, spent in zip(servers, rounds, strict=True)
    ]


def _prepare(folder: Path, environment: dict[str, str]) -> bytes:
    """Register a client, make its certificate, and return the one request that is sent."""
    secret = folder / "secret"
    in_process(
        "client", "add", "load", "--init", "--scope", "read", "--audience", "https://api.example", "--bound",
        "--secret-file", secret, "--force", "--data", folder, environment=environment,
    )  # fmt: skip
    certificate = trustme.CA().issue_cert("load@example.org")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
    credentials = b64encode(b"load:" + secret.read_bytes().strip()).decode()
    body = "grant_type=client_credentials&scope=read"
    return (
        f"POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {credentials}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _load(pool: Pool, folder: Path, seconds: float, request: bytes, port: int) -> float:
    work = [(folder, port, request, seconds)] * PROCESSES
    return sum(pool.starmap(_answers_per_second, work, chunksize=1))


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
def running(arguments: list[str], **environment: str) -> Iterator[None]:
    """Run a server until the block ends; it is ready when it prints its first line."""
    command, variables = [sys.executable, *arguments], os.environ | environment
    with (
        tempfile.TemporaryFile() as words,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=words, env=variables) as process,
    ):
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                words.seek(0)
                raise RuntimeError(f"the server did not start: {words.read().decode()[-2000:]}")
            yield
        finally:
            end(process)


def end(process: subprocess.Popen[Any]) -> None:
    """End a server: by a second signal, if a request that waits for news holds it up."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.terminate()
