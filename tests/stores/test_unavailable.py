"""A database that does not answer is neither yes nor no."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress

import pytest
from sqlalchemy import insert, text

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.schema import clients, service_facts
from tests.support.databases import (
    METADATA,
    NOW,
    ON_SQLITE,
    execute,
    grant,
    opened,
    remove,
    revoke_token,
    without,
)


@contextmanager
def another_writer(url) -> Iterator[None]:
    """Hold the one lock for writing, as another process does in the middle of its work."""
    with closing(Database(url)) as database, suppress(ZeroDivisionError), database.writing() as connection:
        connection.execute(text("INSERT INTO service_facts VALUES ('half', 'written')"))
        yield
        raise ZeroDivisionError  # and it changes its mind


def everything(stores) -> object:
    with stores.database.reading() as connection:
        return (
            stores.clients.all(),
            stores.root_keys.records(),
            connection.execute(text("SELECT * FROM revocations")).all(),
            connection.execute(text("SELECT * FROM service_facts")).all(),
        )


@pytest.mark.usefixtures("hurried")
def test_a_locked_database_is_unavailable_for_writers(stores, url):
    """While another process holds the lock, writers wait, then get Unavailable, and have written nothing."""
    before = everything(stores)
    writers = {
        "add a client": lambda: stores.clients.add("late", METADATA, secret="s" * 22, now=NOW),
        "remove a client": lambda: remove(stores, "billing"),
        "rotate": lambda: stores.root_keys.rotate(NOW),
        "revoke": lambda: revoke_token(stores, grant()),
    }
    with another_writer(url), ThreadPoolExecutor() as pool:
        results = {name: pool.submit(work) for name, work in writers.items()}
        for name, result in results.items():
            assert isinstance(result.exception(), Unavailable), name
        assert everything(stores) == before
    assert everything(stores) == before


def test_a_locked_database_can_be_read(stores, url):
    """While another process writes, others open and read what was committed, without waiting for it."""
    stores.clients.add("billing", METADATA, secret="s" * 22, now=NOW)
    with another_writer(url):
        assert stores.clients.find("billing") is not None
        assert stores.recorded_issuer() is None
        opened(url).database.close()


def test_a_writer_that_waits_its_turn_succeeds(stores, url):
    """A writer that finds the lock taken for a moment waits and then does its work."""
    with ThreadPoolExecutor() as pool:
        with another_writer(url):
            result = pool.submit(stores.root_keys.rotate, NOW)
            time.sleep(0.3)
            assert not result.done()
        assert result.result().state == "current"


def test_work_that_fails_half_way_leaves_nothing(stores):
    """A transaction that ends in an exception has changed nothing."""
    before = everything(stores)
    with pytest.raises(ZeroDivisionError), stores.database.writing() as connection:
        connection.execute(insert(service_facts).values(name="half", value="written"))
        raise ZeroDivisionError
    assert everything(stores) == before


@pytest.mark.parametrize(
    ("table", "work"),
    [
        pytest.param("clients", lambda s: s.clients.find("billing"), id="find a client"),
        pytest.param("clients", lambda s: s.clients.all(), id="list clients"),
        pytest.param("clients", lambda s: remove(s, "billing"), id="remove a client"),
        pytest.param("revocations", lambda s: remove(s, "billing"), id="remove one and revoke its tokens"),
        pytest.param("root_keys", lambda s: s.root_keys.records(), id="list root keys"),
        pytest.param("root_keys", lambda s: s.root_keys.rotate(NOW), id="rotate"),
        pytest.param("revocations", lambda s: s.revocations.concerning(grant(), None), id="ask"),
        pytest.param("revocations", lambda s: revoke_token(s, grant()), id="revoke"),
        pytest.param("service_facts", lambda s: s.recorded_issuer(), id="read the issuer"),
    ],
)
def test_a_damaged_database_is_unavailable(stores, table, work):
    """A database without one of its tables is Unavailable: never `no`, and no foreign exception."""
    stores.clients.add("billing", METADATA, secret="s" * 22, now=NOW)
    with without(stores, table), pytest.raises(Unavailable, match=r"no such table|does not exist"):
        work(stores)


def test_the_reason_holds_no_parameters(stores):
    """The reason of an unavailable database names the database and the table, not what was to be stored."""
    execute(stores, "DROP TABLE clients")
    with pytest.raises(Unavailable) as refused:
        stores.clients.add("billing", METADATA, secret="s" * 22, now=NOW)
    seen = f"{refused.value} {refused.value!r} {refused.value.__cause__}"
    assert re.search(r"db\.sqlite3|cbat\d+", seen)
    assert METADATA.audiences[0] not in seen
    assert clients.name in seen


@ON_SQLITE
def test_a_file_that_others_can_replace_meanwhile_is_unavailable(stores, tmp_path):
    """A folder that is opened to every user under the running service is no failure of the service."""
    stores.database.close()
    mode = tmp_path.stat().st_mode
    tmp_path.chmod(0o777)
    with pytest.raises(Unavailable, match="every user"):
        stores.revocations.reason(grant(), None)
    with pytest.raises(Unavailable, match="every user"):
        revoke_token(stores, grant())
    tmp_path.chmod(mode)
    assert stores.revocations.reason(grant(), None) is None
