"""PostgreSQL is killed under the service: a clear 503, and nothing that was acknowledged is lost."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.postgresql import Postgres, postgres
from tests.support.refresh import ask_refresh, begun, family_of, register, rows
from tests.support.service import Service, grant_of, make_database, settings_in
from tests.support.service_load import check_nothing_is_lost, load
from tests.support.tls_servers import wait_until


@pytest.fixture(scope="module")
def mortal() -> Iterator[Postgres]:
    """Run a server that these tests may kill."""
    with postgres(outlives="kills") as one:
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
            service.app.extensions["macaroon_cbat"].forget()
            unavailable(service.ask_token())
            unavailable(service.post("/oauth2/introspect", {"token": token}, "api"))
            unavailable(service.revoke(token))
    finally:
        mortal.start()
    assert service.introspect(token)["active"] is True
    assert service.ask_token().status_code == 200
    assert service.revoke(token).status_code == 200
    assert service.introspect(token) == {"active": False}


def test_nothing_that_was_answered_is_lost(service, mortal, certificate):
    """PostgreSQL killed while tokens, keys and clients change: an answer is 503, or it holds."""
    with load(service, certificate) as told:
        for _ in range(2):
            told.wait_for("revoke", 200)
            told.wait_for("rotate", 200, 3)
            told.wait_for("register", 201, 3)
            mortal.kill()
            for what in ("mint", "rotate", "register"):
                told.wait_for(what, 503, 5)
            mortal.start()
        told.wait_for("revoke", 200)
        told.wait_for("rotate", 200, 3)
    check_nothing_is_lost(service, told)


def test_a_login_outlives_a_killed_database(service, mortal):
    """PostgreSQL killed while a client refreshes: it goes on with its last token, in one family."""
    register(service)
    family = [begun(service)]
    statuses, every = list[int](), set[int]()
    stopped = threading.Event()

    def refresh() -> None:
        while not stopped.is_set():
            answer = ask_refresh(service, family[-1])
            statuses.append(answer.status_code)
            every.add(answer.status_code)
            family.extend([answer.json["refresh_token"]] if answer.status_code == 200 else [])

    with ThreadPoolExecutor(1) as pool:
        client = pool.submit(refresh)
        for _ in range(2):
            wait_until(lambda: statuses.count(200) >= 3)
            mortal.kill()
            wait_until(lambda: 503 in statuses)
            mortal.start()
            statuses.clear()
        wait_until(lambda: statuses.count(200) >= 3)
        stopped.set()
        client.result()
    assert every == {200, 503}
    assert rows(service) == [(family_of(family[-1]), grant_of(family[-1]).jti)]
