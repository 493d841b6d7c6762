import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.support import fork_server
from tests.support.tls_servers import ROOT, Answer, Client, Server, ask, end, next_line, running, wait_until

KINDS = ["silence", "half a hello", "hello", "slow header", "slow body", "slow reader"]


@contextmanager
def stalling(server: Server, count: int, *kinds: str) -> Iterator[subprocess.Popen[bytes]]:
    """Have `count` clients of each kind stall at the server."""
    process = fork_server.Popen(
        [
            sys.executable,
            "-m",
            "tests.support.stallers",
            str(server.port),
            str(server.folder / "ca.pem"),
            str(count),
            *kinds,
        ],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        end(process)


def check_requests(server: Server, client: Client, count: int) -> None:
    """Send so many requests in a row, each over a fresh connection, and check that each is answered."""
    context = server.context(client)
    for _ in range(count):
        with server.connect(context) as connection:
            assert ask(connection).json()["certificate"] == client.der.hex()


def test_stallers_do_not_delay_others_and_are_cut_off(tmp_path: Path, clients: dict[str, Client]) -> None:
    """While 200 clients of each kind stall, 100 requests in a row succeed; all stallers end."""
    with running(tmp_path) as server, stalling(server, 200, *KINDS) as stallers:
        standing = json.loads(next_line(stallers))["standing"]
        check_requests(server, clients["P-256"], 100)
        ends = json.loads(next_line(stallers))
    assert standing == dict.fromkeys(KINDS, 200)
    assert {kind: end["still there"] for kind, end in ends.items()} == dict.fromkeys(KINDS, 0)


def test_a_full_house_drops_stallers_not_clients(tmp_path: Path, clients: dict[str, Client]) -> None:
    """Newcomers get the place of clients that have kept the server waiting when all connections are taken."""
    kinds = ["silence", "hello", "slow header", "slow body"]
    limits = {"connections": 50, "request_seconds": 120.0}
    with running(tmp_path, limits=limits) as server:
        assert server.ask().status == 200  # the event loop has opened its own files by then
        before = descriptors(server)
        with stalling(server, 40, *kinds) as stallers:
            next_line(stallers)
            check_requests(server, clients["P-256"], 100)
            assert descriptors(server) <= before + 50


def test_a_full_house_of_slow_readers_leaves_room(tmp_path: Path, clients: dict[str, Client]) -> None:
    """Slow readers that take every place are dropped for newcomers, who are not dropped for each other."""
    with (
        running(tmp_path, limits={"connections": 30, "request_seconds": 120.0}) as server,
        stalling(server, 60, "slow reader") as stallers,
    ):
        next_line(stallers)
        check_requests(server, clients["P-256"], 100)


def test_readers_may_not_hoard(tmp_path: Path, clients: dict[str, Client]) -> None:
    """Slow readers that together leave too much unread are dropped before their time."""
    limits = {"unread_bytes": 300_000, "request_seconds": 120.0}
    with running(tmp_path, limits=limits) as server:
        before = descriptors(server)
        with stalling(server, 30, "slow reader") as stallers:
            next_line(stallers)
            wait_until(lambda: descriptors(server) < before + 10)
        check_requests(server, clients["P-256"], 10)


def test_slow_readers_cannot_take_all_threads(tmp_path: Path, clients: dict[str, Client]) -> None:
    """Readers of responses too long to be kept leave half of the threads free."""
    with running(tmp_path, threads=4) as server, ExitStack() as held:
        for _ in range(12):
            held.enter_context(server.connect()).sendall(b"GET /huge HTTP/1.1\r\nHost: localhost\r\n\r\n")
        check_requests(server, clients["P-256"], 20)


def descriptors(server: Server) -> int:
    """Return how many files and sockets the server has open."""
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def test_newcomers_wait_while_everybody_is_served(tmp_path: Path) -> None:
    """Newcomers wait for a place and are not turned away when all places are taken by requests in work."""
    os.mkfifo(tmp_path / "gate")
    limits = {"connections": 2}
    with running(tmp_path, limits=limits) as server, ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(server.ask, "/wait") for _ in range(2)]
        wait_until((tmp_path / "entered").exists)
        newcomers = [pool.submit(server.ask) for _ in range(2)]
        wait_until(lambda: any(newcomer.done() for newcomer in newcomers))
        wait_until(lambda: is_over(tmp_path, waiting))
        assert [each.result().status for each in (*waiting, *newcomers)] == [200] * 4


def is_over(folder: Path, waiting: list[Future[Answer]]) -> bool:
    """Let go each request that waits at the gate now; tell whether that was all."""
    with suppress(OSError):
        os.close(os.open(folder / "gate", os.O_WRONLY | os.O_NONBLOCK))
    return all(waiter.done() for waiter in waiting)
