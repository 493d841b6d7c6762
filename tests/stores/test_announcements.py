"""Announcements of revocations: heard at once on PostgreSQL, and missed without harm."""

from collections.abc import Callable, Iterator

import pytest

from macaroon_cbat.stores import Database, Stores
from macaroon_cbat.stores.announcements import CHANNEL, announcements_of
from tests.support.databases import METADATA, NOW, SECRET, execute
from tests.support.ports import free_port

ON_POSTGRESQL = pytest.mark.parametrize("url", ["postgresql"], indirect=True)
BEHIND_PGBOUNCER = pytest.mark.parametrize("url", ["pgbouncer"], indirect=True)
LONG = 60.0


def revoke(stores: Stores, name: str = "j" * 22) -> None:
    stores.revocations.revoke("token", name, now=NOW, expires_at=NOW + 600)


class Ears:
    """The announcements of one process, which never sleeps."""

    def __init__(self, stores: Stores) -> None:
        self.slept: list[float] = []
        self.announcements = announcements_of(stores.database, sleep=self.slept.append)

    def hears(self, seconds: float = 0.0) -> bool:
        """Return True if the reader should look."""
        return self.announcements.wait(seconds)


@pytest.fixture
def ears(stores: Stores) -> Iterator[Ears]:
    found = Ears(stores)
    yield found
    found.announcements.close()


@ON_POSTGRESQL
def test_a_revocation_is_heard(ears: Ears, open_again: Callable[[], Stores]):
    """Another process hears a revocation at once, and no sooner than it is committed."""
    other = open_again()
    assert ears.hears(), "the first look is due as soon as it listens"
    assert not ears.hears()
    revoke(other)
    assert ears.hears(LONG)
    assert not ears.hears()
    assert ears.slept == []


@ON_POSTGRESQL
def test_other_transactions_announce_nothing(ears: Ears, stores: Stores):
    """Transactions that revoke nothing announce nothing: PostgreSQL commits announcing ones one by one."""
    assert ears.hears()
    stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    stores.clients.keep("billing")
    assert not ears.hears()


@ON_POSTGRESQL
def test_a_lost_connection_is_made_again(stores: Stores, caplog: pytest.LogCaptureFixture):
    """A connection that breaks makes the reader look, and announcements are heard again later."""
    now = [0.0]
    slept: list[float] = []
    ears = announcements_of(stores.database, lambda: now[0], slept.append)
    assert ears.wait(0)
    listening = "FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
    execute(stores, f"SELECT pg_terminate_backend(pid) {listening}")
    assert ears.wait(LONG), "look, at least"
    assert "not heard" in caplog.text
    assert (ears.wait(LONG), slept) == (True, [0.2])
    now[0] += 5
    assert ears.wait(LONG)
    assert not ears.wait(0)
    revoke(stores)
    assert ears.wait(LONG)
    assert slept == [0.2]
    ears.close()


@BEHIND_PGBOUNCER
def test_behind_a_pooler_nothing_listens(ears: Ears, stores: Stores):
    """Behind a pooler the reader looks often, and leaves no LISTEN to the next borrower of a server."""
    assert ears.hears(LONG)
    assert ears.hears(LONG)
    assert ears.slept == [0.2, 0.2]
    assert execute(stores, f"SELECT * FROM pg_listening_channels() AS c WHERE c = '{CHANNEL}'") == []


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_of_sqlite_the_reader_looks_often(ears: Ears):
    """SQLite announces nothing: the reader looks twenty times a second, or as soon as it asks to."""
    assert ears.hears(LONG)
    assert ears.hears(0.01)
    assert ears.slept == [0.05, 0.01]


def test_a_server_out_of_reach_is_tried_again(caplog: pytest.LogCaptureFixture):
    """While PostgreSQL is out of reach, it is tried every five seconds, and the reader looks meanwhile."""
    now, slept = [0.0], list[float]()
    nowhere = Database(f"postgresql+psycopg://cbat@127.0.0.1:{free_port()}/none")
    ears = announcements_of(nowhere, lambda: now[0], slept.append)
    assert ears.wait(LONG)
    assert ears.wait(LONG)
    assert caplog.text.count("not heard") == 1
    now[0] += 5
    assert ears.wait(LONG)
    assert caplog.text.count("not heard") == 2
    assert slept == [0.2] * 3
