"""SQLite is locked, or its disk is full, under the service: a clear 503, and what was answered holds."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import event

from tests.support.administrator import CLIENTS, KEYS, NEW, REVOCATIONS, administrator, state
from tests.support.resource_server import token_for_service
from tests.support.service import refused
from tests.support.service_load import check_nothing_is_lost, load


def unavailable(answer) -> None:
    refused(answer, 503, "temporarily_unavailable")
    assert answer.headers["Retry-After"]


def test_a_full_disk_loses_nothing(new_service, certificate):
    """On a full disk minting goes on, which writes nothing; all else is 503 until there is space again."""
    service = new_service
    engine = service.app.extensions["macaroon_cbat"].database.engine
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    limit = [pages + 6]

    @event.listens_for(engine, "begin")
    def _fills(connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {limit[0]}")

    with load(service, certificate) as told:
        for what in ("revoke", "rotate", "register"):
            told.wait_for(what, 503, 3)
        told.wait_for("mint", 200)
        assert told.answered["mint", 503] == 0
        limit[0] = 1_000_000
        told.wait_for("revoke", 200)
        told.wait_for("rotate", 200, 3)
        told.wait_for("register", 201, 3)
    check_nothing_is_lost(service, told)


def test_a_locked_database_changes_nothing(service, certificate):
    """While another process holds the lock for long, each change is 503 and none of it happens later."""
    ops = administrator(service, certificate)
    admin, taken = token_for_service(service, "ops"), service.token()
    before = state(service)
    other = sqlite3.connect(service.folder / "db.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    questions = (
        lambda: service.revoke(taken),
        lambda: ops("POST", KEYS + "/rotate", token=admin),
        lambda: ops("POST", CLIENTS, token=admin, json=NEW),
        lambda: ops("POST", REVOCATIONS, token=admin, json={"kind": "client", "value": "billing"}),
    )
    try:
        with ThreadPoolExecutor(len(questions)) as pool:
            asked = [pool.submit(question) for question in questions]
            token = service.token()  # minting writes nothing
            for one in asked:
                unavailable(one.result())
    finally:
        other.execute("ROLLBACK")
        other.close()
    time.sleep(0.2)
    assert state(service) == before
    assert service.introspect(taken)["active"] is True
    assert service.introspect(token)["active"] is True
    assert service.revoke(taken).status_code == 200


def test_a_lock_that_comes_and_goes_loses_nothing(service, certificate):
    """Locked again and again under load, the service answers clearly, and what it answered holds."""
    other = sqlite3.connect(service.folder / "db.sqlite3", 30, isolation_level=None)
    with load(service, certificate) as told:
        for _ in range(10):
            other.execute("BEGIN IMMEDIATE")
            time.sleep(0.1)
            other.execute("ROLLBACK")
            time.sleep(0.1)
        told.wait_for("revoke", 200)
        told.wait_for("rotate", 200, 3)
        told.wait_for("register", 201, 3)
    other.close()
    check_nothing_is_lost(service, told)
