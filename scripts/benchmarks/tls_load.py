"""Load over TLS with a client certificate, which wrk and h2load cannot present: keep-alive, HTTP/1.1.

One process keeps one request under way on each connection and takes the time of each answer. It is of the
same machine as the servers, so figures are floors: compare the lines of one run with each other.
"""

import selectors
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Load:
    """A load: the address, the request, the number of connections, and the first bytes of an answer."""

    port: int
    ca: Path
    certificate: Path
    request: bytes
    connections: int = 16
    expected: bytes = b"HTTP/1.1 200 "


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one round."""

    requests_per_second: float
    milliseconds: list[float]
    """Of each answer, in ascending order."""


def answers(load: Load, seconds: float) -> Answers:
    """Return what came back in this many seconds; raise RuntimeError for any other answer."""
    with selectors.DefaultSelector() as selector:
        for _ in range(load.connections):
            _ask(selector, _connected(load), load)
        spent, start = [], time.perf_counter()
        while time.perf_counter() - start < seconds:
            for key, _ in selector.select():
                connection = key.fileobj
                assert isinstance(connection, ssl.SSLSocket)
                is_last = _read_answer(connection, load.expected)
                spent.append((time.perf_counter() - key.data) * 1000)
                selector.unregister(connection)
                if is_last:  # after a thousand requests, in the case of nginx
                    connection.close()
                    connection = _connected(load)
                _ask(selector, connection, load)
        elapsed = time.perf_counter() - start
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
    return Answers(len(spent) / elapsed, sorted(spent))


def _ask(selector: selectors.BaseSelector, connection: ssl.SSLSocket, load: Load) -> None:
    """Send the request, and remember when."""
    connection.sendall(load.request)
    selector.register(connection, selectors.EVENT_READ, time.perf_counter())


def _read_answer(connection: ssl.SSLSocket, expected: bytes) -> bool:
    """Read one answer; tell whether it is the last one of its connection."""
    answer = connection.recv(16384)
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(16384)
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(expected):
        raise RuntimeError(f"unexpected answer: {head[:200]!r}")
    length = int(head.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(16384)
    return b"\r\nconnection: close" in head.lower()


def _connected(load: Load) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=load.ca)
    context.load_cert_chain(load.certificate)
    raw = socket.create_connection(("127.0.0.1", load.port), timeout=30)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(raw, server_hostname="localhost")
