"""The service under a service manager: it is told of each change, and hands sockets over."""

import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from macaroon_cbat.server.service_manager import Watchdog, tell
from tests.support.command_line import ROOT, run, with_database
from tests.support.ports import free_port
from tests.support.service_manager import Manager, managed
from tests.support.tls_servers import next_line, wait_until
from tests.walks.test_management import ask


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """Hear what services of this test say."""
    with closing(Manager(tmp_path)) as heard:
        yield heard


@pytest.fixture
def handed() -> Iterator[dict[str, socket.socket]]:
    """Listen as socket units do: for the service, and for its management page."""
    sockets = {}
    for name in ("macaroon-cbat.socket", "management"):
        sockets[name] = socket.create_server(("127.0.0.1", 0))
    yield sockets
    for one in sockets.values():
        one.close()


def port_of(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


def get(port: int, ca: Path) -> int:
    """Return the status of a public page."""
    context = ssl.create_default_context(cafile=ca)
    with closing(HTTPSConnection("localhost", port, context=context, timeout=60)) as connection:
        connection.request("GET", "/openapi.json")
        return connection.getresponse().status


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_manager_hears_of_each_change(tmp_path: Path, manager: Manager, workers: str) -> None:
    """READY comes once requests are answered, RELOADING and READY around a reload, STOPPING with the stop."""
    data, port = with_database(tmp_path / "data"), free_port()
    words = ["macaroon_cbat", "serve", "--data", str(data), "--port", str(port), "--workers", workers]
    with managed(words, tmp_path, NOTIFY_SOCKET=str(manager.path)) as process:
        assert manager.hear()["READY"] == "1"
        assert get(port, data / "ca.pem") == 200
        process.send_signal(signal.SIGHUP)
        [reloading, ready] = manager.hear_until("READY")
        assert reloading["RELOADING"] == "1"
        assert int(reloading["MONOTONIC_USEC"]) > 0
        assert ready["READY"] == "1"
        assert get(port, data / "ca.pem") == 200
        process.terminate()
        assert manager.hear() == {"STOPPING": "1"}
        assert process.wait(60) == 0


def test_the_watchdog_hears_signs_of_life(tmp_path: Path, manager: Manager, monkeypatch) -> None:
    """A process that was asked for signs of life gives three in the time while it lives; another one none."""
    clock = [0.0]
    monkeypatch.setenv("NOTIFY_SOCKET", str(manager.path))
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    watchdog = Watchdog(lambda: clock[0])
    monkeypatch.setenv("WATCHDOG_PID", "1")
    of_another = Watchdog(lambda: clock[0])
    for moment in (1.0, 1.1, 2.0, 2.9, 3.0, 4.0):
        clock[0] = moment
        watchdog.look(is_alive=moment != 3.0)
        of_another.look(is_alive=True)
    tell("END=1")
    assert [list(one) for one in manager.hear_until("END")] == [["WATCHDOG"]] * 3 + [["END"]]


def test_handed_sockets_are_served_and_outlive_the_service(
    tmp_path: Path, manager: Manager, handed: dict[str, socket.socket]
) -> None:
    """Sockets of the manager are served; a client that connects while the service restarts is served then."""
    data = with_database(tmp_path / "data")
    port, management = (port_of(sock) for sock in handed.values())
    words = ["macaroon_cbat", "serve", "--data", str(data), "--workers", "2"]
    variables = {"NOTIFY_SOCKET": str(manager.path)}
    with managed(words, tmp_path, sockets=handed, **variables) as process:
        manager.hear_until("READY")
        assert process.stdout is not None
        lines = [process.stdout.readline().decode().strip() for _ in range(4)]
        assert lines[0] == f"macaroon-cbat serves https://localhost:{port}"
        assert lines[1] == f"listens on      127.0.0.1:{port}"
        assert lines[3] == f"management      http://127.0.0.1:{management}"
        assert get(port, data / "ca.pem") == 200
        assert ask(management, "/readyz")[0] == 200
        process.terminate()
        assert process.wait(60) == 0
    found: list[int] = []
    client = threading.Thread(target=lambda: found.append(get(port, data / "ca.pem")))
    client.start()
    with managed(words, tmp_path, sockets=handed, **variables):
        client.join(60)
        assert found == [200]


def test_a_place_beside_handed_sockets_is_one_line(tmp_path: Path, handed: dict[str, socket.socket]) -> None:
    """An option that names a place is refused beside handed sockets: it is not clear which one is meant."""
    data = with_database(tmp_path / "data")
    words = ["macaroon_cbat", "serve", "--data", str(data), "--port", "1234"]
    with managed(words, tmp_path, sockets=handed) as process:
        assert process.wait(60) == 2
    [line] = (tmp_path / "log").read_text().splitlines()
    assert line.endswith("leave --port or the socket unit out")


@pytest.mark.parametrize(
    ("descriptor", "reason"),
    [("/dev/null", "is no socket"), ("datagrams", "is no listening stream socket"), ("", "cannot be used")],
    ids=["a file", "datagrams", "nothing"],
)
def test_a_descriptor_that_is_no_listener_is_one_line(tmp_path: Path, descriptor: str, reason: str) -> None:
    """A descriptor that cannot be listened at ends the start in one line that names it."""
    opening = {
        "/dev/null": "os.dup2(os.open('/dev/null', os.O_RDONLY), 3)",
        "datagrams": "kept = socket.socket(type=socket.SOCK_DGRAM); os.dup2(kept.fileno(), 3)",
        "": "os.closerange(3, 64)",
    }[descriptor]
    assert said_of(opening).startswith(f"descriptor 3 of LISTEN_FDS {reason}")


@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("{folder}/s", 0o666, "is open to every user of this machine"),
        ("{folder}/s", 0o662, "is open to every user of this machine"),
        (r"\0{folder}/s", None, "is open to every user of this machine"),
        ("{folder}/s", None, "cannot be looked at"),
        ("{folder}/s", 0o660, "taken"),
    ],
    ids=["mode of systemd", "written by all", "abstract", "gone", "owner and group"],
)
def test_a_unix_socket_that_is_open_to_all_is_one_line(
    tmp_path: Path, name: str, mode: int | None, said: str
) -> None:
    """Any user who can connect would speak as the proxy, and SocketMode= of systemd lets all connect."""
    path = name.format(folder=tmp_path)
    settled = (
        f"os.chmod('{path}', {mode})" if mode else f"os.path.lexists('{tmp_path}/s') and os.unlink('{path}')"
    )
    opening = (
        f"kept = socket.socket(socket.AF_UNIX); kept.bind('{path}'); kept.listen()\n"
        f"os.dup2(kept.fileno(), 3)\n{settled}"
    )
    assert said in said_of(opening)


def said_of(opening: str) -> str:
    """Return what a process says that takes descriptor 3, which these lines have opened."""
    program = (
        f"import os, socket\n{opening}\n"
        "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n"
        "from macaroon_cbat.errors import SettingsError\n"
        "from macaroon_cbat.server.activation import handed_sockets\n"
        "try:\n    handed_sockets()\n    print('taken')\nexcept SettingsError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout


def test_sockets_for_another_process_are_left_alone(tmp_path: Path) -> None:
    """Variables that name another process, such as the shell that started this one, hand nothing over."""
    data, port = with_database(tmp_path / "data"), free_port()
    done = run("serve", "--data", data, "--port", str(port), "--init", LISTEN_FDS="1", LISTEN_PID="1")
    assert done.returncode == 0


def test_a_manager_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    """A NOTIFY_SOCKET at which no process listens, or that is no path, ends nothing."""
    data, port = with_database(tmp_path / "data"), free_port()
    words = ["macaroon_cbat", "serve", "--data", str(data), "--port", str(port)]
    with managed(words, tmp_path, NOTIFY_SOCKET=str(tmp_path / "nowhere")) as process:
        wait_until(lambda: bool(next_line(process)))
        assert get(port, data / "ca.pem") == 200
