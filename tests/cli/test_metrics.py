"""The metrics page of a running service: real processes, real HTTP, exact counts."""

import os
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import gettempdir

import pytest

from tests.support.command_line import run, serving
from tests.support.metrics import ROUNDS, THREADS, counted, counters, measured, scrape, workers_of
from tests.support.ports import free_port
from tests.support.tls_servers import wait_until

BOTH = pytest.mark.parametrize("workers", [1, 2])


@BOTH
def test_the_page_counts_exactly(data, workers):
    """Under load the page counts every event of every worker once, and what has not happened is 0."""
    with measured(data, workers) as (_, caller, port):
        assert counters(port) == {name: 0 for name in counted(0) if not name.startswith("requests")}
        caller.load()
        assert counters(port) == counted(THREADS * ROUNDS)
        assert [counters(port) for _ in range(10)] == [counted(THREADS * ROUNDS)] * 10


def test_counts_survive_a_worker(data):
    """The counts of a killed worker still count, and its successor counts on."""
    with measured(data, 2) as (service, caller, port):
        caller.load(rounds=5)
        for killed in workers_of(service.pid):
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda dead=killed: dead not in (now := workers_of(service.pid)) and len(now) == 2)
        caller.load(rounds=5)
        assert counters(port) == counted(2 * THREADS * 5)


def test_strangers_make_no_time_series(data):
    """No path, parameter or name that a stranger sends becomes a label."""
    with measured(data, 1) as (_, caller, port), caller.connect() as one:
        for number in range(30):
            name = f"stranger-{number}"
            caller.post(one, f"/stranger/{number}", name, grant_type=name)
            caller.post(one, "/oauth2/token", name, grant_type=name, **{f"s{number}": "x"})
        found = {name: value for name, value in counters(port).items() if name.startswith("requests")}
    assert found == {
        "requests_refused_total{endpoint=none,error=not_found}": 30,
        "requests_refused_total{endpoint=token,error=unsupported_grant_type}": 30,
    }


def test_the_age_of_the_key_is_shown(data):
    """The page shows the age of the current key, which a rotation makes young."""
    with measured(data, 2) as (_, _, port):
        assert 0 <= scrape(port)["key_age_seconds{}"] < 1800
        with closing(sqlite3.connect(data / "macaroon_cbat.sqlite3")) as connection, connection:
            connection.execute("UPDATE root_keys SET created_at = created_at - 3600, since = since - 3600")
        wait_until(lambda: 3600 <= scrape(port)["key_age_seconds{}"] < 5400)
        assert run("key", "rotate", "--data", data).returncode == 0
        assert scrape(port)["key_age_seconds{}"] < 1800


def test_the_port_may_come_from_the_environment(data):
    """MACAROON_CBAT_MANAGEMENT_PORT does as --management-port."""
    port = free_port()
    with serving(data, MACAROON_CBAT_MANAGEMENT_PORT=str(port)):
        assert counters(port)["tokens_revoked_total{}"] == 0


def test_without_a_port_there_is_no_page(data):
    """Unless a port is named no process listens for scrapes."""
    with serving(data) as service:
        sockets = [str(link.readlink()) for link in Path(f"/proc/{service.pid}/fd").iterdir()]
        listening = {
            line.split()[9]
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
            if line.split()[3] == "0A"
        }
        assert len([name for name in sockets if name.removeprefix("socket:[").rstrip("]") in listening]) == 1


def test_a_slow_client_does_not_hold_up_others(data):
    """A client that connects to the page and says nothing keeps no other waiting."""
    with measured(data, 1) as (_, _, port):
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        try:
            assert counters(port)
        finally:
            for one in idle:
                one.close()


def test_nothing_is_left_behind(data, tmp_path):
    """The private folder of the counters is for its owner, and gone when the service has ended."""
    with measured(data, 2, TMPDIR=str(tmp_path)) as (_, caller, _), caller.connect() as one:
        caller.mint(one)
        [folder] = [one for one in tmp_path.iterdir() if one.name.startswith("macaroon-cbat-")]
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
    assert Path(gettempdir()).exists()


@pytest.mark.parametrize(
    ("options", "variables", "reason"),
    [
        pytest.param(("--management-port", "{taken}"), {}, "--management-port", id="a port in use"),
        pytest.param((), {"MACAROON_CBAT_MANAGEMENT_PORT": "x"}, "MANAGEMENT_PORT", id="no number"),
        pytest.param((), {"MACAROON_CBAT_MANAGEMENT_PORT": "0"}, "MANAGEMENT_PORT", id="no port"),
        pytest.param(
            ("--management-port", "{free}", "--management-host", "256.1.1.1"),
            {},
            "--management-host",
            id="no address",
        ),
    ],
)
def test_a_page_that_cannot_be_shown_is_one_line(data, options, variables, reason):
    """A metrics port that is taken, or none at all, stops the start in one line that names the option."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        ports = {"taken": sock.getsockname()[1], "free": free_port()}
        filled = [option.format(**ports) for option in options]
        done = run("serve", "--data", data, "--port", str(free_port()), *filled, **variables)
    assert (done.returncode, done.stdout) == (2, b"")
    [line] = done.stderr.decode().splitlines()
    assert reason in line
