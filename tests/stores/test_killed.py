"""The database is killed, fills up or is locked under load: nothing that was acknowledged is lost."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event, text

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.stores import Database
from tests.support.databases import NOW, ON_SQLITE, ROOT, execute, grant, opened
from tests.support.failing_database import Told, add_client, check_nothing_is_lost, revoke, rotate, writing
from tests.support.patience import SECONDS
from tests.support.postgresql import Postgres, postgres

DYING = """
import os, sys
from sqlalchemy import text
from macaroon_cbat.stores import Database
with Database(sys.argv[1]).writing() as connection:
    connection.execute(text("UPDATE root_keys SET state = 'retiring'"))
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(scope="module")
def mortal() -> Iterator[Postgres]:
    """Run a server that these tests may kill."""
    with postgres(outlives="kills") as one:
        yield one


def wait_until(met) -> None:
    deadline = time.monotonic() + SECONDS
    while not met():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


def test_a_killed_server_loses_nothing(mortal):
    """PostgreSQL killed again and again under load: writers get Unavailable, and go on after the restart."""
    stores = opened(mortal.new_database())
    with writing(stores) as told:
        for _ in range(3):
            before = len(told)
            wait_until(lambda before=before: len(told) > before + 60 or told.broken)
            refused = len(told.refused)
            mortal.kill()
            wait_until(lambda refused=refused: len(told.refused) > refused + 9 or told.broken)
            mortal.start()
        before = len(told)
        wait_until(lambda: len(told) > before + 60 or told.broken)
    check_nothing_is_lost(stores, told)
    stores.database.close()
    again = opened(stores.database.engine.url.render_as_string(hide_password=False))
    check_nothing_is_lost(again, told)
    again.database.close()


def test_a_killed_server_is_noticed_at_once(mortal):
    """A process that reads or writes while PostgreSQL is down gets Unavailable without waiting."""
    stores = opened(mortal.new_database())
    mortal.kill()
    try:
        for ask in (
            lambda: stores.clients.find("billing"),
            lambda: stores.revocations.concerning(grant(), None),
            lambda: stores.revocations.has_certificate("x" * 43),
            lambda: stores.revocations.after(0, "https://api.example"),
            lambda: revoke(stores, "alice"),
            lambda: rotate(stores, ""),
            lambda: add_client(stores, "late"),
        ):
            with pytest.raises(Unavailable, match="127"):
                ask()
    finally:
        mortal.start()
    assert stores.clients.all() == []
    assert stores.revocations.newest() == 0
    assert len(stores.root_keys.records()) == 2
    stores.database.close()


def test_a_server_that_dies_within_a_transaction_leaves_nothing(mortal):
    """Changes written but not committed when PostgreSQL was killed are not there after the restart."""
    stores = opened(mortal.new_database())
    with pytest.raises(Unavailable), stores.database.writing() as connection:
        connection.execute(text("UPDATE root_keys SET state = 'retiring'"))
        connection.execute(text("INSERT INTO feed_positions VALUES ('revocations', 99)"))
        mortal.kill()
    mortal.start()
    check_nothing_is_lost(stores, Told())
    assert stores.revocations.newest() == 0
    stores.database.close()


@pytest.mark.usefixtures("hurried")
def test_writers_that_wait_too_long_are_unavailable(stores, url):
    """With more threads than connections, each gets its turn or Unavailable: never anything else."""
    blocked = Database(url)
    with ThreadPoolExecutor(40) as pool, blocked.writing():
        results = [pool.submit(revoke, stores, f"s{number}") for number in range(40)]
        for result in results:
            assert isinstance(result.exception(), Unavailable)
    blocked.close()
    assert stores.revocations.newest() == 0
    revoke(stores, "alice")
    assert stores.revocations.newest() == 1


@ON_SQLITE
def test_a_full_disk_loses_nothing(stores, url):
    """On a disk that is full writers get Unavailable, readers go on, and nothing half-written stays."""
    limit = execute(stores, "PRAGMA page_count")[0][0] + 20

    @event.listens_for(stores.database.engine, "begin")
    def _fills(connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {limit}")

    with writing(stores) as told:
        wait_until(lambda: len(told.refused) > 50 or told.broken)
    assert len(told) > 10
    assert all("full" in str(error) for error in told.refused)
    check_nothing_is_lost(stores, told)
    for write in (revoke, rotate):
        with pytest.raises(Unavailable, match="full"):
            for number in range(1000):
                write(stores, f"more{number}" * 50)
    with_space = opened(url)
    check_nothing_is_lost(with_space, told)
    revoke(with_space, "alice")
    rotate(with_space, "")
    with_space.database.close()


@ON_SQLITE
def test_a_lock_that_comes_and_goes_loses_nothing(stores, tmp_path):
    """While others lock SQLite now and then, writers wait or get Unavailable, and nothing is lost."""
    other = sqlite3.connect(tmp_path / "db.sqlite3", SECONDS, isolation_level=None)
    with writing(stores, threads=3) as told:
        for _ in range(10):
            other.execute("BEGIN IMMEDIATE")
            time.sleep(0.05)
            other.execute("ROLLBACK")
            time.sleep(0.05)
    other.close()
    assert len(told) > 0
    check_nothing_is_lost(stores, told)


def test_a_killed_writer_leaves_nothing(stores, url):
    """A process that is killed in the middle of a write leaves no half state, and its lock to others."""
    died = subprocess.run([sys.executable, "-c", DYING, url], cwd=ROOT, check=False)
    assert died.returncode == -9
    rotate(stores, "")
    check_nothing_is_lost(stores, Told())
    assert [one.since for one in stores.root_keys.records()] == [NOW] * 3
