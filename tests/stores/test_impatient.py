"""A PostgreSQL that keeps its connections open and says nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.stores.impatient import ImpatientConnection
from macaroon_cbat.stores.postgresql import unhurried
from tests.support.databases import opened
from tests.support.failing_database import revoke
from tests.support.postgresql import Postgres, postgres, suspended

SLOW = text("SELECT pg_sleep(2)")
ON_A_SERVER = pytest.mark.parametrize("url", ["postgresql", "pgbouncer"], indirect=True)


@contextmanager
def soon() -> Iterator[None]:
    """Wait one second instead of ten until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImpatientConnection, "answer_seconds", 1.0)
        yield


@pytest.fixture(scope="module")
def mortal() -> Iterator[Postgres]:
    """Run a server that these tests may suspend."""
    with postgres(outlives="kills") as one:
        yield one


@pytest.mark.usefixtures("hurried")
def test_a_suspended_server_is_unavailable(mortal):
    """While PostgreSQL hangs, readers and writers get Unavailable; afterwards they go on."""
    stores = opened(mortal.new_database())
    revoke(stores, "alice")
    with soon(), suspended(mortal):
        with pytest.raises(Unavailable):
            stores.revocations.newest()
        with pytest.raises(Unavailable):
            revoke(stores, "bob")
    revoke(stores, "carol")
    assert [one.value for one in stores.revocations.after(0).decisions] == ["alice", "carol"]
    stores.database.close()


@ON_A_SERVER
def test_a_slow_statement_is_given_up(stores):
    """A statement without an answer in time is Unavailable, and its connection serves no other one."""
    with soon(), pytest.raises(Unavailable, match="no answer for"), stores.database.reading() as connection:
        connection.execute(SLOW)
    revoke(stores, "alice")
    assert stores.revocations.newest() == 1


@ON_A_SERVER
def test_a_migration_takes_its_time(stores):
    """A statement of a migration may take longer, and a later one over its connection may not."""
    done = []
    with pytest.raises(Unavailable, match="no answer for"), stores.database.writing() as connection, soon():
        with unhurried(connection):
            connection.execute(SLOW)
            done.append("a migration")
        connection.execute(SLOW)
        done.append("another statement")
    assert done == ["a migration"]
