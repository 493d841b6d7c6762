"""Answers in lines from services of every temper: a line is whole, in time and bounded, or it is none."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from macaroon_cbat.client.https import Connections, HttpsAnswer, HttpsRequest
from macaroon_cbat.client.trust import ServerTrust
from macaroon_cbat.errors import Unavailable
from tests.support.silent_services import Silent, Temper, silent_service

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
LIMIT, TOO_LONG = 1000, "more than 1000 bytes"


def chunks(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def says(data: bytes, *, closes: bool = True) -> Temper:
    """Return the temper of a service that sends this to each request of a connection."""

    def temper(service: Silent, connection: ssl.SSLSocket) -> None:
        while service.read_whole(connection).startswith(b"GET"):
            connection.sendall(data)
            if closes:
                return

    return temper


@contextmanager
def answers(folder: Path, temper: Temper, seconds: float = 20) -> Iterator[Iterator[HttpsAnswer]]:
    """Give the answers of a service of this temper to one request after the other."""
    with silent_service(folder, temper) as service:
        connections = Connections(ServerTrust(service.ca).current().context())
        request = HttpsRequest(
            method="GET", url=f"{service.url}/", timeout=60, limit=LIMIT, line_seconds=seconds
        )
        yield (connections.exchange(request) for _ in count())
        connections.end()


def read(answer: HttpsAnswer) -> tuple[list[bytes], str]:
    """Return the lines of an answer, and the error that it ends with."""
    found = []
    assert answer.lines is not None
    try:
        for line in answer.lines:
            found.append(line)  # noqa: PERF402 # what came before an error is asked for
    except Unavailable as error:
        return found, str(error)
    return found, ""


@pytest.mark.parametrize(
    "body",
    [chunks(b"one\n", b"two\n"), chunks(b"one\ntwo\n"), chunks(b"on", b"e\nt", b"wo", b"\n")],
    ids=["a chunk each", "one chunk", "split"],
)
def test_lines_come_however_they_are_framed(tmp_path, body):
    """The lines are the same in whatever chunks they come."""
    with answers(tmp_path, says(HEAD + body + b"0\r\n\r\n")) as exchanges:
        assert read(next(exchanges)) == ([b"one", b"two"], "")


def test_a_line_is_given_before_the_next_comes(tmp_path):
    """A line waits for no other one: the second is sent after the first was read."""
    is_read = threading.Event()

    def temper(service: Silent, connection: ssl.SSLSocket) -> None:
        service.read_whole(connection)
        connection.sendall(HEAD + chunks(b"one\n"))
        assert is_read.wait(60)
        connection.sendall(chunks(b"two\n") + b"0\r\n\r\n")

    with answers(tmp_path, temper) as exchanges:
        lines = next(exchanges).lines
        assert lines is not None
        assert next(lines) == b"one"
        is_read.set()
        assert list(lines) == [b"two"]


BROKEN = {
    "no line": (b"0\r\n\r\n", [], "within a line"),
    "half a line": (chunks(b"one\n", b"tw") + b"0\r\n\r\n", [b"one"], "within a line"),
    "cut between chunks": (chunks(b"one\n"), [b"one"], "in the middle of an answer"),
    "cut within a chunk": (chunks(b"one\n") + b"ff\r\ntw", [b"one"], ""),
    "a chunk of no size": (chunks(b"one\n") + b"zz\r\ntwo\n", [b"one"], ""),
    "a chunk of negative size": (chunks(b"one\n") + b"-5\r\n" + b"x" * 5000, [b"one"], ""),
    "a line that is too long": (
        chunks(b"one\n", b"x" * (LIMIT + 1) + b"\n"),
        [b"one"],
        "more than 1000 bytes",
    ),
    "no end of a line": (chunks(*[b"x" * 100] * 40), [], TOO_LONG),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_stream_fails(tmp_path, name):
    """The lines before are given, and a part of a line never is."""
    body, lines, reason = BROKEN[name]
    with answers(tmp_path, says(HEAD + body)) as exchanges:
        found, error = read(next(exchanges))
        assert (found, bool(error), reason in error) == (lines, True, True)


def test_a_line_that_trickles_is_late(tmp_path):
    """A service that sends a byte now and then gains no time: the whole line must come in time."""

    def temper(service: Silent, connection: ssl.SSLSocket) -> None:
        service.read_whole(connection)
        with suppress(OSError):
            connection.sendall(HEAD + chunks(b"one\n"))
            while not service.is_over.wait(0.05):
                connection.sendall(chunks(b"x"))

    with answers(tmp_path, temper, seconds=1) as exchanges:
        found, error = read(next(exchanges))
    assert (found, "did not answer in time" in error) == ([b"one"], True)


def test_many_lines_are_left_in_time(tmp_path):
    """A stream that has sent as much as one line may have is left without an error."""
    with answers(tmp_path, says(HEAD + chunks(*[b"x" * 99 + b"\n"] * 40), closes=False)) as exchanges:
        found, error = read(next(exchanges))
    assert (11 <= len(found) < 40, error) == (True, "")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 503 Busy\r\nContent-Type: application/x-ndjson\r\n",
        b"HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Type: application/x-ndjson\r\n",
    ],
)
def test_another_answer_is_read_whole(tmp_path, head):
    """An answer of another type or status is no stream, but one body within its limit."""
    with answers(tmp_path, says(head + b"Content-Length: 4\r\n\r\none\n")) as exchanges:
        answer = next(exchanges)
    assert (answer.lines, answer.body) == (None, b"one\n")


def test_a_stream_that_was_read_keeps_its_connection(tmp_path):
    """After the last chunk the connection serves the next request; one that was left does not."""
    with silent_service(tmp_path, says(HEAD + chunks(b"one\n") + b"0\r\n\r\n", closes=False)) as service:
        connections = Connections(ServerTrust(service.ca).current().context())
        request = HttpsRequest(method="GET", url=service.url, timeout=60, limit=LIMIT, line_seconds=20)
        for _ in range(2):
            assert read(connections.exchange(request)) == ([b"one"], "")
        assert len(service.accepted) == 1
        left = connections.exchange(request).lines
        assert left is not None
        assert next(left) == b"one"
        left.close()
        assert read(connections.exchange(request)) == ([b"one"], "")
        assert len(service.accepted) == 2
        connections.end()
