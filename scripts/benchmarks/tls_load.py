"""Load over TLS with a client certificate, which wrk and h2load cannot present: keep-alive, HTTP/1.1.

One process keeps one request under way on each connection and takes the time of each answer. It is of the
same machine as the servers, so figures are floors: compare the lines of one run with each other.
"""

import selectors
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from service import Throughput


def _ignored(_number: int, _body: bytes) -> None:
    """Make nothing of an answer."""


@dataclass(frozen=True, slots=True)
class Load:
    """A load: the address, the request, the number of connections, and the first bytes of an answer."""

    port: int
    ca: Path
    certificate: Path
    request: bytes | Callable[[int], bytes]
    """Always the same, or the next one of the connection with this number."""
    connections: int = 16
    expected: bytes = b"HTTP/1.1 200 "
    answered: Callable[[int, bytes], None] = _ignored
    """Takes the number of a connection and the body of its answer, before the connection's next request."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one round."""

    requests_per_second: float
    milliseconds: list[float]
    """Of each answer, in ascending order."""


def answers(load: Load, seconds: float) -> Answers:
    """Return what came back in this many seconds; raise RuntimeError for any other answer.

    Answers that are under way then are read, too, and not counted: the next round may depend on them.
    """
    with selectors.DefaultSelector() as selector:
        for number in range(load.connections):
            _ask(selector, _connected(load), load, number)
        spent, start = [], time.perf_counter()
        while time.perf_counter() - start < seconds:
            for key, _ in selector.select():
                connection, number, milliseconds = _answered(selector, key, load)
                spent.append(milliseconds)
                _ask(selector, connection or _connected(load), load, number)
        elapsed = time.perf_counter() - start
        for key in list(selector.get_map().values()):
            connection, _, _ = _answered(selector, key, load)
            if connection is not None:
                connection.close()
    return Answers(len(spent) / elapsed, sorted(spent))


def throughput_of(name: str, rounds: list[Answers]) -> Throughput:
    """Return the figure of all rounds of a load."""
    rates = [each.requests_per_second for each in rounds]
    p99 = median(each.milliseconds[int(len(each.milliseconds) * 0.99)] for each in rounds)
    return Throughput(name, max(rates), median(rates), p99)


def _ask(selector: selectors.BaseSelector, connection: ssl.SSLSocket, load: Load, number: int) -> None:
    """Send the request, and remember when."""
    request = load.request if isinstance(load.request, bytes) else load.request(number)
    connection.sendall(request)
    selector.register(connection, selectors.EVENT_READ, (number, time.perf_counter()))


def _answered(
    selector: selectors.BaseSelector, key: selectors.SelectorKey, load: Load
) -> tuple[ssl.SSLSocket | None, int, float]:
    """Read one answer; return its connection if that can go on, its number, and the milliseconds it took."""
    connection, (number, asked) = key.fileobj, key.data
    assert isinstance(connection, ssl.SSLSocket)
    body, is_last = _read_answer(connection, load.expected)
    milliseconds = (time.perf_counter() - asked) * 1000
    selector.unregister(connection)
    load.answered(number, body)
    if not is_last:
        return connection, number, milliseconds
    connection.close()  # after a thousand requests, in the case of nginx
    return None, number, milliseconds


def _read_answer(connection: ssl.SSLSocket, expected: bytes) -> tuple[bytes, bool]:
    """Read one answer; return its body, and whether it is the last one of its connection."""
    answer = connection.recv(16384)
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(16384)
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(expected):
        raise RuntimeError(f"unexpected answer: {answer[:600]!r}")
    length = int(head.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(16384)
    return body, b"\r\nconnection: close" in head.lower()


def _connected(load: Load) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=load.ca)
    context.load_cert_chain(load.certificate)
    raw = socket.create_connection(("127.0.0.1", load.port), timeout=30)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(raw, server_hostname="localhost")
