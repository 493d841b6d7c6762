"""An SQLite database that is moved away or replaced under a running service is out of reach, not followed."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from macaroon_cbat.errors import Unavailable
from tests.support.databases import METADATA, NOW, ON_SQLITE, SECRET, grant, opened, revoke_token
from tests.support.tls_servers import wait_until

REPLACED = "replaced or moved away while it was in use: start the service again, or put the file back"


def moved(file: Path, folder: Path) -> None:
    """Move the database and what lies beside it, as an operator does before a restore."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for one in file.parent.glob(f"{file.name}*"):
        one.rename(folder / one.name)


@pytest.fixture
def file(url) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@ON_SQLITE
def test_a_replaced_database_is_out_of_reach(stores, url, file, tmp_path):
    """A process knows nothing of what others revoke in the new database, so it answers nothing."""
    stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    moved(file, tmp_path / "old")
    others = opened(url)
    revoke_token(others, grant())
    with pytest.raises(Unavailable, match=REPLACED):
        stores.revocations.reason(grant(), None)
    with pytest.raises(Unavailable, match=REPLACED), stores.database.reading():
        pass
    with pytest.raises(Unavailable, match=REPLACED):
        stores.clients.add("payroll", METADATA, secret=SECRET, now=NOW)
    assert others.revocations.reason(grant(), None)
    others.database.close()


@ON_SQLITE
def test_connections_of_later_are_refused_as_well(stores, url, file, tmp_path):
    """A process that has closed its connections, as before a fork, does not go over to the new database."""
    moved(file, tmp_path / "old")
    opened(url).database.close()
    stores.database.close()
    with pytest.raises(Unavailable, match=REPLACED), stores.database.reading():
        pass


@ON_SQLITE
def test_a_writer_that_waited_is_not_acknowledged_in_the_old_one(stores, file, tmp_path):
    """A revocation that waited for another writer, while the database is moved away, is refused."""
    failures: list[Unavailable] = []

    def revoke() -> None:
        try:
            revoke_token(stores, grant())
        except Unavailable as error:
            failures.append(error)

    stores.database.close()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = threading.Thread(target=revoke)
        waiting.start()
        wait_until(lambda: stores.database.engine.pool.checkedout() > 0)
        moved(file, tmp_path / "old")
        other.execute("ROLLBACK")
        waiting.join()
    assert [REPLACED in str(error) for error in failures] == [True]


@ON_SQLITE
def test_a_database_that_is_put_back_is_in_reach(stores, file, tmp_path):
    """A file that was moved away and back is the same database."""
    stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    moved(file, tmp_path / "old")
    with pytest.raises(Unavailable, match=REPLACED), stores.database.reading():
        pass
    moved(tmp_path / "old" / file.name, file.parent)
    stores.clients.forget()
    assert [client.client_id for client in stores.clients.all()] == ["billing"]
