"""A reload of the running service: SIGHUP to the process that was started, and no connection is dropped."""

import json
import os
import resource
import signal
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.command_line import API, Served, members, serving, with_database
from tests.support.metrics import Caller
from tests.support.tls_servers import wait_until

LIFETIME = "MACAROON_CBAT_TOKEN_LIFETIME"


class Reloaded:
    """A running service, its settings file, and connections of clients that stay open."""

    def __init__(self, service: Served, file: Path, caller: Caller, clients: list[HTTPSConnection]) -> None:
        self.service, self.file, self.caller, self.clients = service, file, caller, clients

    def write(self, *lines: str) -> None:
        """Write the settings file, and ask the service to read it."""
        self.file.write_text("\n".join(lines))
        os.kill(self.service.pid, signal.SIGHUP)

    def lifetimes(self) -> set[int]:
        """Return the lifetimes of a new token over each connection."""
        tokens = [self.caller.mint(client) for client in self.clients]
        grants = [read_identifier(read_macaroon(token).identifier) for token in tokens]
        return {grant.exp - grant.iat for grant in grants}

    def lifetimes_anew(self) -> list[int]:
        """Return the lifetimes of tokens over new connections, 0 for one that fails."""
        return [self._lifetime_anew() for _ in range(6)]

    def _lifetime_anew(self) -> int:
        context = ssl.create_default_context(cafile=self.service.data / "ca.pem")
        port = int(self.service.issuer.rpartition(":")[2])
        try:
            with closing(HTTPSConnection("localhost", port, context=context, timeout=60)) as one:
                found = read_identifier(read_macaroon(self.caller.mint(one)).identifier)
        except OSError:
            return 0
        return found.exp - found.iat

    def kill_workers(self) -> None:
        """End each worker, as a crash does."""
        pid = self.service.pid
        for worker in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            os.kill(int(worker), signal.SIGKILL)

    def log(self) -> list[str]:
        """Return the lines of the log."""
        return (self.service.data.parent / f"{self.service.data.name}.log").read_text().splitlines()


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reloaded]:
    """Run two workers by a settings file, with as many connections that both have some."""
    data = with_database(tmp_path_factory.mktemp("reload") / "data")
    file = data.parent / "service.env"
    file.write_text(f"{LIFETIME}=300\n")
    file.chmod(0o600)
    secret = members("client", "add", "billing", "--scope", "read", "--audience", API, "--data", data)
    with (
        serving(data, "--workers", "2", "--idle-seconds", "60", MACAROON_CBAT_SETTINGS=str(file)) as service,
        ExitStack() as stack,
    ):
        caller = Caller(service, {"billing": secret["client_secret"]})
        clients = [stack.enter_context(caller.connect()) for _ in range(12)]
        yield Reloaded(service, file, caller, clients)


def test_settings_change_without_a_dropped_connection(reloaded: Reloaded) -> None:
    """Both workers mint by the new setting over connections that were open before, while requests go on."""
    assert reloaded.lifetimes() == {300}
    sockets = [client.sock for client in reloaded.clients]
    failures: list[BaseException] = []
    is_over = threading.Event()

    def load() -> None:
        with reloaded.caller.connect() as one:
            while not is_over.is_set():
                try:
                    reloaded.caller.mint(one)
                except BaseException as error:  # noqa: BLE001 # told by the test
                    failures.append(error)
                    return

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        reloaded.write(f"{LIFETIME}=77")
        wait_until(lambda: reloaded.lifetimes() == {77})
        reloaded.write(f"{LIFETIME}=78", "MACAROON_CBAT_LOG_FORMAT=json")
        wait_until(lambda: reloaded.lifetimes() == {78})
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert [client.sock for client in reloaded.clients] == sockets
    assert json.loads(reloaded.log()[-1])["event"]["event"] == "token.minted"


def test_a_mistake_keeps_what_is_in_force(reloaded: Reloaded) -> None:
    """A wrong value changes nothing in any worker, and the log has one line about it."""
    before = reloaded.lifetimes()
    reloaded.write(f"{LIFETIME}=forever")
    wait_until(lambda: any("keeping the settings in force" in line for line in reloaded.log()))
    assert reloaded.lifetimes() == before
    [line] = [line for line in reloaded.log() if "keeping the settings in force" in line]
    assert f"{LIFETIME} must be a number of seconds from 1 to 86400, not 'forever'" in line


def test_a_setting_of_the_start_is_named(reloaded: Reloaded) -> None:
    """A setting that cannot change while the service runs is named once, and the others change."""
    reloaded.write(f"{LIFETIME}=90", "MACAROON_CBAT_MTLS_URL=https://mtls.example")
    wait_until(lambda: reloaded.lifetimes() == {90})
    told = [line for line in reloaded.log() if "cannot change while the service runs" in line]
    assert len(told) == 1
    assert "MACAROON_CBAT_MTLS_URL" in told[0]


def test_a_new_worker_begins_with_the_settings_of_now(reloaded: Reloaded) -> None:
    """A worker that replaces a dead one has the settings that were read last."""
    reloaded.write(f"{LIFETIME}=91")
    wait_until(lambda: reloaded.lifetimes() == {91})
    reloaded.kill_workers()
    wait_until(lambda: reloaded.lifetimes_anew() == [91] * 6)


def test_limits_that_no_worker_could_start_with_are_a_mistake(reloaded: Reloaded) -> None:
    """More connections than open files are refused at the reload, not by each worker that starts later."""
    reloaded.write(f"{LIFETIME}=92")
    wait_until(lambda: reloaded.lifetimes_anew() == [92] * 6)
    resource.prlimit(reloaded.service.pid, resource.RLIMIT_NOFILE, (5000, 5000))
    reloaded.write(f"{LIFETIME}=93", "MACAROON_CBAT_CONNECTIONS=100000")
    wait_until(
        lambda: any("keeping the settings in force: the limit of open files" in one for one in reloaded.log())
    )
    reloaded.kill_workers()
    wait_until(lambda: reloaded.lifetimes_anew() == [92] * 6)
