import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.command_line import ROOT
from tests.support.ports import free_port
from tests.support.tls_servers import (
    SECONDS,
    Answer,
    Server,
    ask,
    next_line,
    read_to_end,
    running,
    wait_until,
)

HURRIED = {"request_seconds": 0.5}
BOTH = pytest.mark.parametrize("workers", [1, 2])


def pids(server: Server) -> set[int]:
    """Return the workers that a number of requests meet."""
    return {server.ask().json()["pid"] for _ in range(40)}


def is_running(pid: int) -> bool:
    """Tell whether the process exists and is not only waiting to be reaped."""
    try:
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return False


def is_refusing(server: Server) -> bool:
    """Return True once no process listens any more."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", server.port)) != 0


@BOTH
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0(tmp_path: Path, workers: int, number: signal.Signals) -> None:
    """SIGTERM and SIGINT end the server in good order, also with clients connected."""
    with running(tmp_path, workers=workers) as server, server.connect():
        found = pids(server)
        server.process.send_signal(number)
        assert next_line(server.process) == "ended"
        assert server.process.wait(SECONDS) == 0
        assert not any(map(is_running, found))


def stop_by_terminal(server: Server) -> None:
    """Do what Ctrl-C does: every process of the group gets the signal."""
    os.killpg(server.process.pid, signal.SIGINT)


def stop_by_supervisor(server: Server) -> None:
    """Do what a service manager does: the parent gets the signal."""
    server.process.send_signal(signal.SIGTERM)


@BOTH
@pytest.mark.parametrize("stop", [stop_by_supervisor, stop_by_terminal])
def test_a_request_under_way_is_finished(
    tmp_path: Path, workers: int, stop: Callable[[Server], None]
) -> None:
    """A server that is asked to stop takes no new connections, answers what it is serving, and ends."""
    os.mkfifo(tmp_path / "gate")
    with running(tmp_path, workers=workers) as server:
        answers: list[Answer] = []
        client = threading.Thread(target=lambda: answers.append(server.ask("/wait")))
        client.start()
        wait_until((tmp_path / "entered").exists)
        stop(server)
        wait_until(lambda: is_refusing(server))
        assert server.process.poll() is None
        (tmp_path / "gate").write_bytes(b"")
        client.join()
        assert answers[0].status == 200
        assert answers[0].headers["connection"] == "close"
        assert server.process.wait(SECONDS) == 0


@BOTH
def test_an_application_that_waits_hears_of_the_stop(tmp_path: Path, workers: int) -> None:
    """A request that waits for something learns that the server stops, and is answered instead of cut off."""
    with running(tmp_path, workers=workers) as server, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.ask, "/patient")
        wait_until((tmp_path / "entered").exists)
        assert server.stop() == 0
        assert asked.result().status == 200


@BOTH
def test_a_handshake_under_way_is_finished(tmp_path: Path, workers: int) -> None:
    """A client that has just connected when the server stops is still served."""
    with running(tmp_path, workers=workers) as server:
        sock = socket.create_connection(("127.0.0.1", server.port))
        stop_by_supervisor(server)
        wait_until(lambda: is_refusing(server))
        with server.context().wrap_socket(sock, server_hostname="localhost") as secured:
            assert ask(secured).status == 200
        assert server.process.wait(SECONDS) == 0


@BOTH
def test_a_second_signal_ends_it_at_once(tmp_path: Path, workers: int) -> None:
    """A second signal ends the server without waiting for requests under way."""
    os.mkfifo(tmp_path / "gate")
    with running(tmp_path, workers=workers) as server, server.connect() as connection:
        connection.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until((tmp_path / "entered").exists)
        stop_by_supervisor(server)
        wait_until(lambda: is_refusing(server))
        stop_by_supervisor(server)
        assert server.process.wait(SECONDS) == 0


@BOTH
def test_a_request_that_never_ends_does_not_hold_up_the_end(tmp_path: Path, workers: int) -> None:
    """The time for requests under way is bounded when the server stops."""
    os.mkfifo(tmp_path / "gate")
    with running(tmp_path, workers=workers, limits=HURRIED) as server, server.connect() as connection:
        connection.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until((tmp_path / "entered").exists)
        assert server.stop() == 0


def test_each_worker_makes_its_own_application(tmp_path: Path) -> None:
    """The application is made in the process that serves it, so pools are not shared over a fork."""
    with running(tmp_path, workers=2) as server:
        answers = [server.ask().json() for _ in range(40)]
    assert all(answer["made_in"] == answer["pid"] != server.process.pid for answer in answers)
    assert all(answer["environ"]["wsgi.multiprocess"] for answer in answers)


def test_a_crashed_worker_is_replaced(tmp_path: Path) -> None:
    """A new worker takes the place of one that crashes, and the others go on."""
    with running(tmp_path, workers=2) as server:
        with pytest.raises(OSError, match=r"."):
            server.ask("/crash")
        crashed = server.log().count("SIGKILL")
        assert server.ask().status == 200
        wait_until(lambda: len(children(server)) == 2)
        assert server.ask().status == 200
        assert server.stop() == 0
    assert crashed <= 1
    assert server.log().count("signal SIGKILL") == 1


def children(server: Server) -> list[int]:
    """Return the workers that the parent has."""
    pid = server.process.pid
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found if is_running(int(child))]


def test_one_worker_goes_on_while_no_other_can_start(tmp_path: Path) -> None:
    """While what the application needs is broken, the worker that there is serves on; others follow later."""
    with running(tmp_path, workers=2, longest_delay=0.5) as server:
        wait_until(lambda: len(pids(server)) == 2)
        (tmp_path / "broken").touch()
        os.kill(children(server)[0], signal.SIGKILL)
        for count in (4, 6):  # five deaths in a row end a server without any worker
            wait_until(lambda: server.log().count("cannot start: the database is not there") >= count)  # noqa: B023
        assert [server.ask().status for _ in range(5)] == [200] * 5
        (tmp_path / "broken").unlink()
        wait_until(lambda: len(children(server)) == 2 and len(pids(server)) == 2)
        assert server.stop() == 0


_FAILING = """
import logging, os, signal, sys
from pathlib import Path
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.server import prefork

prefork.LONGEST_DELAY = 0.2
broken, events = Path(sys.argv[1]), []


class Loop:
    def run(self, lifeline):
        os.read(lifeline, 1)

    def stop(self):
        os._exit(0)


class Heard(logging.Handler):
    def emit(self, record):
        if "cannot start" in record.getMessage():
            events.append("failed")
            if events.count("failed") == 6:
                os.kill(os.getpid(), signal.SIGTERM)


def make_loop():
    if broken.exists():
        raise SettingsError("broken")
    return Loop()


def tick():
    events.append("tick")
    if len(events) == 40:  # the workers are no longer new
        broken.touch()
        os.kill(next(iter(parent._ready_since)), signal.SIGKILL)


logging.getLogger("macaroon_cbat.tls").addHandler(Heard())
parent = prefork.Prefork([], 2, 1.0, tick)
parent.run(make_loop, lambda: None)
print(*events)
"""


def test_the_parent_has_its_duties_while_no_worker_can_start(tmp_path: Path) -> None:
    """Between two failures the parent gives its sign of life, hears SIGHUP and follows files.

    Else a service manager would end a service of which one worker serves.
    """
    command = [sys.executable, "-c", _FAILING, str(tmp_path / "broken")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    _, *between = done.stdout.split("failed")
    assert len(between) == 6
    assert all("tick" in one for one in between[:-1])


def test_workers_do_not_outlive_their_parent(tmp_path: Path) -> None:
    """Workers end, and free their port, when their parent is killed without warning."""
    with running(tmp_path, workers=2) as server:
        workers = children(server)
        assert len(workers) == 2
        server.process.kill()
        wait_until(lambda: not any(map(is_running, workers)))
        assert is_refusing(server)


def test_the_port_can_be_used_again_at_once(tmp_path: Path) -> None:
    """A server can start on the port that another has just left."""
    with running(tmp_path, port=free_port()) as server, server.connect():
        assert server.stop() == 0
        with running(tmp_path, port=server.port) as successor:
            assert successor.port == server.port
            assert successor.ask().status == 200


def test_ipv6(tmp_path: Path) -> None:
    """The server listens on an IPv6 address, and its certificate is good for it."""
    with running(tmp_path, host="::1") as server:
        sock = socket.create_connection(("::1", server.port))
        with server.context().wrap_socket(sock, server_hostname="::1") as secured:
            secured.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert b'"REMOTE_ADDR": "::1"' in read_to_end(secured)


def test_more_files_than_select_can_count(tmp_path: Path) -> None:
    """Connections beyond the 1024th file descriptor are served like any other."""
    with running(tmp_path) as server:
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(1100)]
        try:
            assert server.ask().status == 200
        finally:
            for sock in idle:
                sock.close()
