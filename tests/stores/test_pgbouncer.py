"""Behind PgBouncer: what lives longer than a transaction is not used, and what it cannot do is said."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from sqlalchemy import text

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.stores import Database, Stores
from macaroon_cbat.stores.impatient import ImpatientConnection
from tests.support.databases import execute, opened
from tests.support.failing_database import revoke
from tests.support.pgbouncer import pgbouncer

BURST = 40
ON_A_SERVER = pytest.mark.parametrize("url", ["postgresql", "pgbouncer"], indirect=True)
THROUGH_PGBOUNCER = pytest.mark.parametrize("url", ["pgbouncer"], indirect=True)
READ_ONLY = "?options=-c%20default_transaction_read_only%3Don"


@pytest.fixture(
    params=[
        pytest.param({"pool_mode": "transaction"}, id="transaction"),
        pytest.param({"pool_mode": "transaction", "default_pool_size": 1}, id="transaction, one connection"),
        pytest.param({"pool_mode": "session", "default_pool_size": 50}, id="session"),
    ]
)
def processes(request: pytest.FixtureRequest, server) -> Iterator[list[Stores]]:
    """Open one database through PgBouncer, as three processes do."""
    with pgbouncer(server, **request.param) as pooled, ExitStack() as stack:
        url = pooled(server.new_database())
        many = [opened(url) for _ in range(3)]
        for one in many:
            stack.callback(one.database.close)
        yield many


def test_every_revocation_of_a_burst_is_made(processes):
    """In a burst each process may revoke what it wants, and reads it, whichever connections they share."""

    def revoke_and_read(number: int) -> str:
        stores = processes[number % len(processes)]
        revoke(stores, f"s{number}")
        stores.clients.find("billing")
        return "revoked" if stores.revocations.newest() else "not seen"

    with ThreadPoolExecutor(40) as pool:
        assert Counter(pool.map(revoke_and_read, range(4 * BURST))) == {"revoked": 4 * BURST}
    page = processes[0].revocations.after(0)
    assert {one.value for one in page.decisions} == {f"s{number}" for number in range(4 * BURST)}
    assert page.cursor == 4 * BURST, "the lock let no two writers draw one sequence"


@ON_A_SERVER
def test_no_statement_is_prepared(stores):
    """However often a statement runs, the server's connection remembers nothing of it."""
    seen = {execute(stores, "SELECT count(*) FROM pg_prepared_statements")[0] for _ in range(20)}
    assert seen == {(0,)}


@ON_A_SERVER
def test_what_a_writer_sets_ends_with_its_transaction(stores):
    """The writers' time limit and their lock are gone from the server's connection with the transaction."""
    revoke(stores, "alice")
    with stores.database.reading() as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar_one() == "0"
        held = text(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
            "WHERE locktype = 'advisory' AND datname = current_database()"
        )
        assert connection.execute(held).scalar_one() == 0


@pytest.mark.usefixtures("hurried")
def test_writers_beside_the_pooler_take_the_same_lock(server, pooler):
    """A writer that comes through PgBouncer and one that comes directly wait for each other."""
    url = server.new_database()
    direct, through = opened(url), opened(pooler(url))
    with direct.database.writing(), pytest.raises(Unavailable, match="lock timeout"):
        revoke(through, "alice")
    with through.database.writing(), pytest.raises(Unavailable, match="lock timeout"):
        revoke(direct, "alice")
    for stores in (direct, through):
        stores.database.close()


def test_a_pooler_that_starts_again_costs_nothing(server):
    """Connections that PgBouncer cut are made anew, and what was revoked through the old one is there."""
    url = server.new_database()
    with pgbouncer(server, pool_mode="transaction") as pooled:
        stores = opened(pooled(url))
        revoke(stores, "alice")
        execute(stores, "SELECT 1")
        port = int(pooled(url).rpartition(":")[2].partition("/")[0])
    with pytest.raises(Unavailable, match="127"):
        revoke(stores, "bob")
    with pgbouncer(server, port=port, pool_mode="transaction"):
        revoke(stores, "carol")
        assert [one.value for one in stores.revocations.after(0).decisions] == ["alice", "carol"]
        stores.database.close()


def test_a_pooler_without_a_free_connection_is_unavailable(server, monkeypatch):
    """A process in the queue of PgBouncer finds the database Unavailable, and does not wait for minutes."""
    with pgbouncer(server, pool_mode="session", default_pool_size=1) as pooled:
        url = pooled(server.new_database())
        first, second = opened(url), Database(url)
        monkeypatch.setattr(ImpatientConnection, "answer_seconds", 2.0)
        with pytest.raises(Unavailable, match="no answer"), second.reading():
            pass
        assert first.revocations.newest() == 0
        first.database.close()
        second.close()


def test_statement_mode_is_refused_with_its_remedy(server):
    """PgBouncer in statement mode knows no transactions: the line says which mode to choose."""
    with pgbouncer(server, pool_mode="statement") as pooled:
        with pytest.raises(Unavailable, match=r"pool_mode = transaction") as refused:
            opened(pooled(server.new_database()))
        assert "\n" not in str(refused.value)


def test_a_startup_parameter_that_the_pooler_refuses_is_named(server, pooler):
    """PgBouncer refuses `options`: the line says so, and where to put what they set."""
    url = pooler(server.new_database()) + READ_ONLY
    with pytest.raises(Unavailable, match=r"options.*ALTER ROLE") as refused:
        opened(url)
    assert "\n" not in str(refused.value)


@pytest.fixture
def ignoring(server) -> Iterator[Callable[[str], str]]:
    """Run a PgBouncer that takes `options`, and does not pass them on."""
    with pgbouncer(server, pool_mode="transaction", ignore_startup_parameters="options") as pooled:
        yield pooled


def test_a_startup_parameter_that_the_pooler_ignores_may_change_nothing(server, ignoring):
    """A schema that `options` name and PgBouncer ignores is an error, not another schema's tables."""
    url = server.new_database()
    direct = Database(url)
    with direct.writing() as connection:
        connection.execute(text("CREATE SCHEMA ours"))
    direct.close()
    with pytest.raises(Unavailable, match=r"search_path.*ignored"):
        opened(ignoring(url) + "?options=-csearch_path%3Dours")
    plain = opened(ignoring(url) + "?options=-cstatement_timeout%3D9000")
    assert plain.revocations.newest() == 0
    plain.database.close()


def test_processes_open_a_new_database_at_once(server, pooler, racers):
    """Processes that open and upgrade a new database through PgBouncer at the same moment all work."""
    kids = racers.race("open", pooler(server.new_database()))
    assert kids == [kids[0]] * 4
    assert len(kids[0]) == 2
