"""The service is killed and started again under the load of 50 holders, on SQLite and on PostgreSQL."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.resource import ServiceConnection
from tests.support.followed_service import Realm, caller, passes
from tests.support.holders import House
from tests.support.holders_load import HOLDERS, Told, load
from tests.support.service_process import resource_server
from tests.support.tls_servers import Server, wait_until

# Python's ssl module leaves a socket unclosed that is reset between its connect and its handshake.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
KILLS = 3
WORKERS = 2


def kill(server: Server) -> None:
    """End every process of the service by SIGKILL, the parent first, so that it replaces no worker."""
    pid = server.process.pid
    workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(workers) == WORKERS
    os.kill(pid, signal.SIGKILL)
    server.process.wait()
    for worker in workers:
        with suppress(ProcessLookupError):  # it ends by itself when its parent does
            os.kill(int(worker), signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, workers)))  # until then the port is theirs


def is_alive(pid: str) -> bool:
    """Return True unless the process has ended; its new parent may not have noticed yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Reader:
    """Reads the feed on and on, whatever happens to the service, and keeps every decision as it comes."""

    def __init__(self, connection: ServiceConnection) -> None:
        self.connection, self.cursor = connection, "0"
        self.seen: list[tuple[str, str]] = []
        self.failures = 0

    def read(self) -> bool:
        """Read one page; tell whether that was all."""
        page: dict[str, Any] = json.loads(self.connection.revocations(self.cursor, 0))
        self.seen += [(kind, value) for kind, value, _, _ in page["decisions"]]
        self.cursor = page["cursor"]
        return bool(page["is_last"])

    def follow(self, stopped: threading.Event) -> None:
        """Read until it is stopped."""
        while not stopped.wait(0.05):
            try:
                self.read()
            except MacaroonError:
                self.failures += 1


class Caller:
    """Calls a resource server with a good token all the time, and counts what it is answered."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.statuses: list[int] = []

    def follow(self, stopped: threading.Event) -> None:
        """Call until it is stopped."""
        while not stopped.wait(0.02):
            self.statuses.append(self.call())


@contextmanager
def meanwhile(*workers: Any) -> Iterator[None]:
    """Let these go on until the block ends."""
    stopped = threading.Event()
    threads = [threading.Thread(target=worker.follow, args=(stopped,)) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def busy(tmp_path: Path, database: Mapping[str, str]) -> Realm:
    """Give a realm whose audit log is a file."""
    audited = {"MACAROON_CBAT_AUDIT_LOG": str(tmp_path / "audit.log")}
    return Realm(tmp_path, {**database, **audited})


def is_met(told: Told, holds: Callable[[], bool]) -> None:
    """Wait until it holds, or something broke that the end of the test shows."""
    wait_until(lambda: bool(told.broken) or holds())


def run_and_kill(realm: Realm, told: Told) -> None:
    """Run the service, and kill it in the middle of everything, again and again."""
    for turn in range(KILLS + 1):
        revoked = len(told.revoked)
        with realm.service.running("--workers", str(WORKERS), "--threads", "8") as server:
            is_met(told, lambda revoked=revoked: len(told.revoked) > revoked + HOLDERS // 2)
            if turn < KILLS:
                lost = told.lost
                kill(server)
                is_met(told, lambda lost=lost: told.lost > lost + HOLDERS)


def audited(realm: Realm, event: str) -> set[str]:
    """Return the ids of the tokens that the audit log has this event of."""
    lines = (realm.folder / "audit.log").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    return {one["token_id"] for one in events if one["event"] == event}


def check_the_feed(realm: Realm, reader: Reader, told: Told) -> None:
    """Check that what was read through every kill is what is read at once, with all that was acknowledged."""
    for one in (reader, at_once := Reader(realm.connection())):
        while not one.read():
            pass
    assert reader.seen == at_once.seen, "the same decisions in the same order: no gap, no repeat"
    names = [value for kind, value in reader.seen if kind == "token"]
    assert len(names) == len(set(names)) == len(reader.seen)
    assert told.revoked <= set(names) <= told.asked


def test_a_service_killed_under_load_loses_nothing(busy: Realm, house: House):
    """Killed thrice under 50 holders: clear answers, calls go on offline, nothing acknowledged is lost."""
    reader, ca = Reader(busy.connection()), busy.service.ca
    following = {**busy.following, "max_staleness": 600}  # however slow the machine is
    with resource_server(busy.folder / "api", following=following) as api:
        with busy.service.running():
            token = busy.token()
            with caller(api, token, house) as call:
                passes(call)
        with caller(api, token, house) as call, load(busy) as told, meanwhile(reader, asking := Caller(call)):
            run_and_kill(busy, told)
        assert told.broken == []
        assert set(told.statuses) <= {200, 503}
        assert set(asking.statuses) == {200}, "resource servers go on offline"
        assert reader.failures > 0, "the feed was away in between"
        assert told.minted <= audited(busy, "token.minted")
        assert told.revoked <= audited(busy, "token.revoked")
        with busy.service.running():
            assert requests.get(busy.service.issuer + "/openapi.json", verify=str(ca), timeout=60).ok
            check_the_feed(busy, reader, told)
            keys = json.loads(busy.service.command("key", "list", "--json"))
            assert [one["state"] for one in keys] == ["current", "next"]
            wait_until(lambda: statuses(api, house, told, told.revoked) == {401})
            assert statuses(api, house, told, told.minted - told.asked) == {200}


def statuses(api: Server, house: House, told: Told, names: set[str]) -> set[int]:
    """Return what the resource server answers to some of these tokens, the first and the last among them."""
    ordered = [name for name in told.tokens if name in names]
    some = {*ordered[:5], *ordered[-5:]}
    found = set()
    for name in some:
        with caller(api, told.tokens[name], house) as call:
            found.add(call())
    return found
