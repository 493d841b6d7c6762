"""Parked responses over real connections: hundreds at once, which take no thread."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.support.parking_application import NEWS, NO_NEWS
from tests.support.tls_servers import Answer, Server, ask, read_answer, read_to_end, running, wait_until

FOLLOWERS = 200
THREADS = 2


@pytest.fixture(scope="module", params=[False, True], ids=["uvloop", "asyncio"])
def parking(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server whose application parks, on either event loop."""
    settings = {"make_app": "parks", "threads": THREADS, "is_without_uvloop": request.param}
    with running(tmp_path_factory.mktemp("parking"), **settings) as server:
        yield server


def park(connection: ssl.SSLSocket, path: str = "/park") -> None:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def answer(connection: ssl.SSLSocket) -> Answer:
    response = HTTPResponse(connection)
    response.begin()
    return read_answer(response)


def count(server: Server, name: str) -> int:
    found: int = server.ask("/parked").json()[name]
    return found


def test_hundreds_wait_without_a_thread(parking: Server) -> None:
    """More responses than threads wait, others are served meanwhile, and one event answers all."""
    threads, context = count(parking, "threads"), parking.context()
    with ExitStack() as stack:
        followers = [stack.enter_context(parking.connect(context)) for _ in range(FOLLOWERS)]
        for _ in range(2):
            for follower in followers:
                park(follower)
            wait_until(lambda: count(parking, "waiting") == FOLLOWERS)
            assert count(parking, "threads") == threads
            assert parking.ask("/finish").json()["waiting"] == FOLLOWERS
            assert [answer(follower).body for follower in followers] == [NEWS] * FOLLOWERS


def test_clients_that_go_are_forgotten(parking: Server) -> None:
    """The application hears of each client that goes, whether it says goodbye or not."""
    before = count(parking, "ended")
    with parking.connect() as polite, parking.connect() as abrupt:
        park(polite)
        park(abrupt)
        wait_until(lambda: count(parking, "waiting") == 2)
        polite.unwrap()
    wait_until(lambda: count(parking, "waiting") == 0)
    assert count(parking, "ended") == before + 2


def test_time_ends_a_wait(parking: Server) -> None:
    """A wait ends by its own time, and the connection serves on."""
    with parking.connect() as connection:
        park(connection, "/park?seconds=0.1")
        assert answer(connection).body == NO_NEWS
        assert ask(connection, "/parked").status == 200


def test_a_request_sent_ahead_waits(parking: Server) -> None:
    """The answer to a request that was sent behind a parked one comes after it."""
    with parking.connect() as connection:
        park(connection)
        park(connection, "/parked")
        wait_until(lambda: count(parking, "waiting") == 1)
        parking.ask("/finish")
        assert answer(connection).body == NEWS
        assert answer(connection).json()["waiting"] == 0


def stream(connection: ssl.SSLSocket) -> HTTPResponse:
    """Return a stream that has begun."""
    park(connection, "/stream")
    response = HTTPResponse(connection)
    response.begin()
    return response


def test_hundreds_stream_without_a_thread(parking: Server) -> None:
    """Each of many streams gets every part at once, and its connection serves the next request."""
    threads, context = count(parking, "threads"), parking.context()
    with ExitStack() as stack:
        followers = [stack.enter_context(parking.connect(context)) for _ in range(FOLLOWERS)]
        streams = [stream(follower) for follower in followers]
        for _ in range(3):
            parking.ask("/write")
            assert [one.read(len(NEWS)) for one in streams] == [NEWS] * FOLLOWERS
        assert count(parking, "threads") == threads
        parking.ask("/finish")
        assert [one.read() for one in streams] == [NEWS] * FOLLOWERS
        assert ask(followers[0], "/parked").json()["waiting"] == 0


def test_a_stream_ends_with_its_client(parking: Server) -> None:
    """The application hears that the client of a stream has gone, and the others get what is written."""
    with parking.connect() as gone, parking.connect() as stays:
        stream(gone)
        streamed = stream(stays)
        gone.unwrap()
        wait_until(lambda: count(parking, "waiting") == 1)
        parking.ask("/write")
        assert streamed.read(len(NEWS)) == NEWS
        parking.ask("/finish")


@pytest.mark.parametrize("workers", [1, 2], ids=["alone", "prefork"])
def test_a_stop_answers_at_once(tmp_path: Path, workers: int) -> None:
    """A server that is asked to stop answers what is parked, and ends."""
    with running(tmp_path, make_app="parks", workers=workers) as server, server.connect() as connection:
        park(connection, "/park?seconds=1000")
        wait_until((tmp_path / "parked").exists)
        assert server.stop() == 0
        received = read_to_end(connection)
        assert received.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nConnection: close\r\n" in received
        assert received.endswith(NO_NEWS)


def test_a_stop_ends_a_stream(tmp_path: Path) -> None:
    """A server that is asked to stop ends a stream by its last chunk."""
    with running(tmp_path, make_app="parks") as server, server.connect() as connection:
        streamed = stream(connection)
        assert server.stop() == 0
        assert streamed.read() == NO_NEWS
