"""The service while its PostgreSQL fails over: clients get an answer or 503, and nothing they got is lost."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
from werkzeug.test import TestResponse

from tests.support.refresh import ask_refresh, begun, register
from tests.support.replicated import Pair, replicated
from tests.support.service import API, Service, make_database, seconds, settings_in
from tests.support.tls_servers import wait_until


@pytest.fixture
def pair() -> Iterator[Pair]:
    with replicated() as both:
        yield both


@pytest.fixture
def service(pair: Pair, tmp_path: Path) -> Iterator[Service]:
    """Run the service on a database of both hosts."""
    url = pair.new_database()
    make_database(url)
    one = Service(tmp_path, settings_in(tmp_path, database_url=url))
    register(one)
    yield one
    one.close()


@dataclass
class Clients:
    """Clients that each repeat one request in a thread of its own, and what they were answered."""

    service: Service
    family: str
    minted: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    rotated: list[str] = field(default_factory=list)
    refused: list[TestResponse] = field(default_factory=list)
    broken: list[BaseException] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def mint(self) -> None:
        """Get a token."""
        answer = self._ask(self.service.ask_token, resource=API, scope="read")
        self.minted += [] if answer is None else [answer.json["access_token"]]

    def revoke(self) -> None:
        """Get a token and take it back."""
        answer = self._ask(self.service.ask_token, resource=API, scope="read")
        if answer is not None and self._ask(self.service.revoke, token := answer.json["access_token"]):
            self.revoked.append(token)

    def refresh(self) -> None:
        """Use the refresh token, which is replaced."""
        answer = self._ask(ask_refresh, self.service, self.family)
        if answer is not None:
            self.family = answer.json["refresh_token"]
            self.minted.append(answer.json["access_token"])

    def _ask(self, ask: Callable[..., TestResponse], *arguments: object, **form: str) -> TestResponse | None:
        answer = ask(*arguments, **form)
        if answer.status_code == 200:
            return answer
        self.refused.append(answer)
        self._ended.wait(0.02)
        return None

    def _repeat(self, request: Callable[[], None]) -> None:
        try:
            while not self._ended.wait(0.01):
                request()
        except BaseException as error:  # noqa: BLE001 # the test shows it
            self.broken.append(error)

    def __enter__(self) -> Self:
        """Begin."""
        self._threads = [
            threading.Thread(target=self._repeat, args=(request,))
            for request in (self.mint, self.revoke, self.refresh)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End them all: none of them hangs."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self) -> None:
        """Wait until each kind of request has succeeded a few times more."""
        minted, revoked, family = len(self.minted), len(self.revoked), self.family
        wait_until(
            lambda: (
                self.broken
                or (
                    len(self.minted) > minted + 5
                    and len(self.revoked) > revoked + 3
                    and self.family != family
                )
            )
        )


def test_clients_are_answered_or_told_to_come_again(pair, service):
    """The primary is killed: clients get 503 with Retry-After, and each acknowledged thing is there after."""
    with Clients(service, begun(service)) as clients:
        clients.wait_for_more()
        kid = service.stores.root_keys.rotate(seconds(service.now)).kid
        clients.wait_for_more()
        pair.primary.kill()
        wait_until(lambda: len(clients.refused) > 3 or clients.broken)
        pair.promote()
        clients.wait_for_more()
    assert clients.broken == []
    told = {(one.status_code, one.json["error"], one.headers["Retry-After"]) for one in clients.refused}
    assert told == {(503, "temporarily_unavailable", "5")}
    assert {service.introspect(token)["active"] for token in clients.minted} == {True}
    assert {service.introspect(token)["active"] for token in clients.revoked} == {False}
    assert ask_refresh(service, clients.family).status_code == 200
    assert [one.state for one in service.stores.root_keys.records() if one.kid == kid] == ["current"]
