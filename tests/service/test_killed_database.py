"""PostgreSQL is killed under the service: a clear 503, and nothing that was acknowledged is lost."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.service.material import Service, grant_of, make_database, settings_in
from tests.stores.postgres import Postgres, postgres

CLIENTS = 10


@pytest.fixture(scope="module")
def mortal() -> Iterator[Postgres]:
    """Run a server that these tests may kill."""
    with postgres() as one:
        yield one


@pytest.fixture
def service(mortal: Postgres, tmp_path: Path) -> Iterator[Service]:
    """Start a service on an empty database of that server."""
    url = mortal.new_database()
    make_database(url)
    service = Service(tmp_path, settings_in(tmp_path, database_url=url))
    yield service
    service.close()


def unavailable(answer) -> None:
    assert (answer.status_code, answer.json["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert "127.0.0.1" not in answer.text


def test_every_endpoint_is_503_while_the_database_is_down(service, mortal):
    """While PostgreSQL is down every endpoint that needs it answers 503 in JSON; afterwards all goes on."""
    token = service.token()
    mortal.kill()
    try:
        for _ in range(3):
            service.app.extensions["macaroon_cbat"].clients._seen.clear()
            unavailable(service.ask_token())
            unavailable(service.post("/oauth2/introspect", {"token": token}, "api"))
            unavailable(service.revoke(token))
            unavailable(service.open("/healthz", method="GET"))
    finally:
        mortal.start()
    assert service.introspect(token)["active"] is True
    assert service.ask_token().status_code == 200
    assert service.revoke(token).status_code == 200
    assert service.introspect(token) == {"active": False}


def test_no_revocation_that_was_answered_is_lost(service, mortal):
    """PostgreSQL killed under load: each answer is 200 or 503, and a revocation answered 200 holds."""
    stopped, answered, revoked = threading.Event(), Counter[tuple[str, int]](), []

    def work() -> None:
        while not stopped.is_set():
            minted = service.ask_token()
            answered["mint", minted.status_code] += 1
            if minted.status_code == 200:
                token = minted.json["access_token"]
                status = service.revoke(token).status_code
                answered["revoke", status] += 1
                if status == 200:
                    revoked.append(token)
            else:
                stopped.wait(0.02)

    with ThreadPoolExecutor(CLIENTS) as pool:
        workers = [pool.submit(work) for _ in range(CLIENTS)]
        try:
            for _ in range(3):
                wait_until(answered, ("revoke", 200))
                mortal.kill()
                wait_until(answered, ("mint", 503))
                mortal.start()
            wait_until(answered, ("revoke", 200))
        finally:
            stopped.set()
        for worker in workers:
            worker.result()
    assert {status for _, status in answered} == {200, 503}
    assert [one for one in revoked if service.introspect(one)["active"]] == []
    assert service.stores.revocations.newest() >= len({grant_of(one).jti for one in revoked}) > 0


def wait_until(answered: Counter[tuple[str, int]], what: tuple[str, int], more: int = 30) -> None:
    """Wait until this has been answered that many times more."""
    goal, paused = answered[what] + more, threading.Event()
    for _ in range(3000):
        if answered[what] >= goal:
            return
        paused.wait(0.01)
    raise AssertionError(f"{what} is not answered: {answered}")
