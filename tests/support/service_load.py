"""Clients and an operator that go on while the database fails under the service, and what they were told."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from tests.support.administrator import CLIENTS, KEYS, administrator
from tests.support.certificates import Identity
from tests.support.databases import opened
from tests.support.resource_server import token_for_service
from tests.support.service import API, Service, grant_of

THREADS = 10


@dataclass
class Told:
    """Answers by what was asked, and the names of all that was acknowledged."""

    answered: Counter[tuple[str, int]] = field(default_factory=Counter)
    revoked: list[str] = field(default_factory=list)
    rotated: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)

    def wait_for(self, what: str, status: int, more: int = 10) -> None:
        """Wait until this has been answered that many times more."""
        goal, paused = self.answered[what, status] + more, threading.Event()
        for _ in range(6000):
            if self.answered[what, status] >= goal:
                return
            paused.wait(0.01)
        raise AssertionError(f"{what} is not answered {status}: {self.answered}")


class Load:
    """Mints, revokes, rotates and registers, and remembers what was answered."""

    def __init__(self, service: Service, certificate: Identity) -> None:
        """Register the operator, and get its token while the database is well."""
        self.told = Told()
        self._service = service
        self._ops = administrator(service, certificate)
        self._admin = token_for_service(service, "ops")

    def mint_and_revoke(self, _name: str) -> None:
        """Take a new token back."""
        minted = self._service.ask_token()
        self.told.answered["mint", minted.status_code] += 1
        if minted.status_code == 200:
            token = minted.json["access_token"]
            status = self._service.revoke(token).status_code
            self.told.answered["revoke", status] += 1
            if status == 200:
                self.told.revoked.append(token)

    def rotate(self, _name: str) -> None:
        """Let the next key mint."""
        answer = self._ops("POST", KEYS + "/rotate", token=self._admin)
        self.told.answered["rotate", answer.status_code] += 1
        if answer.status_code == 200:
            self.told.rotated.append(answer.json["kid"])

    def register(self, name: str) -> None:
        """Register a client."""
        wanted = {"client_id": name, "scope": "read", "audiences": [API]}
        answer = self._ops("POST", CLIENTS, token=self._admin, json=wanted)
        self.told.answered["register", answer.status_code] += 1
        if answer.status_code == 201:
            self.told.added.append(name)


@contextmanager
def load(service: Service, certificate: Identity) -> Iterator[Told]:
    """Let one thread rotate, one register and the others mint and revoke until the block ends."""
    one, stopped = Load(service, certificate), threading.Event()

    def work(number: int) -> None:
        act = {0: one.rotate, 1: one.register}.get(number, one.mint_and_revoke)
        for turn in count():
            act(f"client-{turn}")
            if stopped.wait(0.05 if number == 0 else 0.02):
                return

    with ThreadPoolExecutor(THREADS) as pool:
        workers = [pool.submit(work, number) for number in range(THREADS)]
        try:
            yield one.told
        finally:
            stopped.set()
        for worker in workers:
            worker.result()


def check_nothing_is_lost(service: Service, told: Told) -> None:
    """Check that each answer was clear, and that the database, opened again, has all of it, and no half."""
    assert {status for _, status in told.answered} <= {200, 201, 503}
    assert [one for one in told.revoked if service.introspect(one)["active"]] == []
    stores = opened(service.settings.database_url)
    try:
        keys = stores.root_keys.records()
        assert [one.state for one in keys][-2:] == ["current", "next"]
        assert {one.state for one in keys[:-2]} <= {"retiring"}
        assert {one.kid for one in keys} >= {*told.rotated}
        assert {one.client_id for one in stores.clients.all()} >= {*told.added}
        decisions = stores.revocations.after(0, API, limit=1_000_000).decisions
        assert {one.value for one in decisions} >= {grant_of(one).jti for one in told.revoked}
        assert len({one.value for one in decisions}) == len(decisions)
    finally:
        stores.database.close()
