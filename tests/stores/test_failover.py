"""A primary and its synchronous standby: what fails over, what is cut off, and what may come back."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.stores import Database, RevocationStore, Stores, open_stores
from macaroon_cbat.stores.impatient import ImpatientConnection
from macaroon_cbat.stores.primacy import PROVED_SECONDS
from tests.support.clock import Clock
from tests.support.command_line import call, complaint
from tests.support.databases import METADATA, NOW, SECRET, WRAPPING_KEY, opened
from tests.support.failing_database import check_nothing_is_lost, revoke, writing
from tests.support.pgbouncer import pgbouncer
from tests.support.postgresql import suspended
from tests.support.replicated import Pair, ask, replicated, wait_for
from tests.support.tls_relay import gate
from tests.support.tls_servers import wait_until

WAITS = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture(scope="module")
def servers() -> Iterator[Pair]:
    """Run both servers once for these tests, each of which may kill one."""
    with replicated() as pair:
        yield pair


@pytest.fixture
def pair(servers: Pair) -> Pair:
    """Give a primary and a standby that follows it."""
    servers.heal()
    return servers


@pytest.fixture
def url(pair: Pair, request: pytest.FixtureRequest) -> str:
    """Name a database by both of its hosts, the primary first, with the options of the test."""
    return pair.new_database() + getattr(request, "param", "")


@pytest.fixture
def stores(url: str) -> Iterator[Stores]:
    one = opened(url)
    yield one
    one.database.close()


@pytest.fixture
def hurried_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait one second for an answer instead of ten."""
    monkeypatch.setattr(ImpatientConnection, "answer_seconds", 1.0)


def name_of(stores: Stores) -> str:
    return str(stores.database.engine.url.database)


def test_a_failover_loses_nothing(pair, url, stores):
    """The primary is killed under load and its standby promoted: all that was acknowledged is there."""
    with writing(stores) as told:
        wait_until(lambda: len(told) > 60 or told.broken)
        pair.primary.kill()
        wait_until(lambda: len(told.refused) > 20 or told.broken)
        pair.promote()
        before = len(told)
        wait_until(lambda: len(told) > before + 60 or told.broken)
    check_nothing_is_lost(stores, told)
    assert any(": promote the standby that has every commit" in str(error) for error in told.refused)
    again = opened(url)
    check_nothing_is_lost(again, told)
    again.database.close()


@pytest.mark.usefixtures("hurried", "hurried_answers")
def test_an_old_primary_that_comes_back_is_not_written_to(pair, url, stores):
    """A primary that hung while its standby was promoted acknowledges nothing afterwards."""
    revoke(stores, "alice")
    old = pair.primary
    with suspended(old):
        pair.promote()
        revoke(stores, "bob")
    back = opened(pair.url(name_of(stores), old, pair.primary))
    revoke(back, "carol")
    assert [one.value for one in back.revocations.after(0).decisions] == ["alice", "bob", "carol"]
    assert ask(pair.primary, "SELECT count(*) FROM revocations", name_of(stores)) == [(3,)]
    assert ask(old, "SELECT max(position) FROM feed_positions", name_of(stores)) == [(1,)]
    back.database.close()


@pytest.mark.usefixtures("hurried", "hurried_answers")
def test_an_old_primary_is_not_read_in_place_of_a_new_one(pair, stores):
    """The proof of one server says nothing of another: an old primary lacks what was revoked since."""
    revoke(stores, "alice")
    old, name = pair.primary, name_of(stores)
    pair.promote()
    there = opened(pair.url(name, pair.primary, old))
    revoke(there, "bob")
    pair.primary.kill()
    for _ in range(2):
        with pytest.raises(Unavailable):
            there.revocations.after(0)
    pair.primary.start()
    assert [one.value for one in there.revocations.after(0).decisions] == ["alice", "bob"]
    there.database.close()


@pytest.mark.usefixtures("hurried", "hurried_answers")
def test_one_name_that_leads_elsewhere_is_noticed(pair, url):
    """Behind an address that moves and cuts nothing, old connections end with the first new one."""
    with gate() as address:
        address.target = pair.primary.port
        stores = opened(f"postgresql://cbat@127.0.0.1:{address.port}/{url.rpartition('/')[2]}")
        revoke(stores, "alice")
        pair.promote()
        address.target = pair.primary.port
        with stores.database.engine.connect():  # others use the connections to the old primary
            wait_until(lambda: succeeds(stores, "bob"))
        seen = {tuple(one.value for one in stores.revocations.after(0).decisions) for _ in range(4)}
        assert seen == {("alice", "bob")}
        stores.database.close()


@pytest.mark.usefixtures("hurried", "hurried_answers")
def test_a_primary_without_its_standby_acknowledges_nothing(pair, stores):
    """While the standby is out of reach writers get Unavailable; once it is back, they go on."""
    pair.part()
    for name in ("alice", "bob"):
        with pytest.raises(Unavailable):
            revoke(stores, name)
    pair.rejoin()
    wait_until(lambda: succeeds(stores, "alice"))
    assert [one.value for one in stores.revocations.after(0).decisions] == ["alice"]


def succeeds(stores: Stores, name: str) -> bool:
    try:
        revoke(stores, name)
    except Unavailable:
        return False
    return True


@pytest.mark.usefixtures("hurried", "hurried_answers")
def test_a_primary_without_its_standby_is_believed_for_a_moment(pair, url):
    """A primary that is cut off, as after a failover, is soon Unavailable for reads too."""
    revoke_at_once = opened(url)
    clock = Clock()
    alone = Database(pair.url(name_of(revoke_at_once), pair.primary), monotonic=clock)
    store = RevocationStore(alone, monotonic=clock)
    store.after(0)
    with revoke_at_once.database.writing(is_migration=True):
        clock.now += PROVED_SECONDS
        store.after(0)
    pair.part()
    clock.now += PROVED_SECONDS - 1
    store.after(0)
    clock.now += 1
    with pytest.raises(Unavailable):
        store.after(0)
    pair.rejoin()
    wait_until(lambda: succeeds(revoke_at_once, "alice"))
    store.after(0)
    for database in (alone, revoke_at_once.database):
        database.close()


def end_the_wait(pair: Pair, how: str) -> None:
    """End the wait of a commit for the standby, as an administrator does."""
    wait_for(pair.primary, WAITS)
    ask(pair.primary, f"SELECT {how}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")


@pytest.mark.parametrize("url", ["?options=-cclient_min_messages%3Derror"], indirect=True)
def test_a_commit_that_only_the_primary_has_is_not_acknowledged(pair, stores):
    """A commit whose wait for the standby was ended is Unavailable, though PostgreSQL calls it done."""
    pair.part()
    with ThreadPoolExecutor() as pool:
        told = pool.submit(revoke, stores, "alice")
        end_the_wait(pair, "pg_cancel_backend")
        assert isinstance(told.exception(), Unavailable)
    pair.promote()
    assert stores.revocations.after(0).decisions == []
    revoke(stores, "alice")
    assert [one.value for one in stores.revocations.after(0).decisions] == ["alice"]


def test_what_was_not_acknowledged_may_be_asked_for_again(pair, stores):
    """A revocation whose commit broke off, but is there after all, is made again without harm."""
    pair.part()
    with ThreadPoolExecutor() as pool:
        told = pool.submit(revoke, stores, "alice")
        end_the_wait(pair, "pg_terminate_backend")
        assert isinstance(told.exception(), Unavailable)
    pair.rejoin()
    revoke(stores, "alice")
    page = stores.revocations.after(0)
    assert [one.value for one in page.decisions] == ["alice"]


def test_a_primary_that_becomes_read_only_is_left(pair, stores):
    """A primary that was fenced, and keeps its connections, costs one answer: then the new one is used."""
    revoke(stores, "alice")
    ask(pair.primary, "ALTER SYSTEM SET default_transaction_read_only = on")
    ask(pair.primary, "SELECT pg_reload_conf()")
    wait_for(pair.primary, "SELECT current_setting('transaction_read_only')::bool")
    pair.promote()
    with pytest.raises(Unavailable, match="read-only"):
        revoke(stores, "bob")
    revoke(stores, "bob")
    assert ask(pair.primary, "SELECT count(*) FROM revocations", name_of(stores)) == [(2,)]


def test_a_backup_is_made_at_the_primary(pair, url, stores, tmp_path):
    """A standby may be behind: a backup of it would have what was revoked before its own moment."""
    stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    wait_for(pair.standby, "SELECT count(*) = 1 FROM clients", name_of(stores))
    ask(pair.standby, "SELECT pg_wal_replay_pause()")
    stores.clients.remove("billing", lambda: NOW, lasting=60)
    for there in (pair.url(name_of(stores), pair.standby), f"{url}?target_session_attrs=standby"):
        result = call("backup", tmp_path / "backup", MACAROON_CBAT_DATABASE_URL=there)
        assert "the server is a standby" in complaint(result, 1)
    ask(pair.standby, "SELECT pg_wal_replay_resume()")
    assert call("backup", tmp_path / "backup", MACAROON_CBAT_DATABASE_URL=url).exit_code == 0
    assert (tmp_path / "backup" / "clients.jsonl").read_bytes() == b""


@pytest.mark.parametrize(("option", "is_led"), [("", True), ("?target_session_attrs=any", False)])
def test_the_host_that_takes_writes_is_used(pair, stores, option, is_led):
    """Of several hosts the one that takes writes is used, unless the URL says otherwise."""
    wait_for(pair.standby, "SELECT count(*) > 0 FROM root_keys", name_of(stores))
    there = Database(pair.url(name_of(stores), pair.standby, pair.primary) + option, is_for_a_command=True)
    with there.reading() as connection:
        assert connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar_one() is not is_led
    there.close()


def test_a_service_refuses_a_standby(pair, url, stores):
    """A service that is led to a standby alone says so: what it read there might be old."""
    wait_for(pair.standby, "SELECT count(*) > 0 FROM root_keys", name_of(stores))
    with pytest.raises(Unavailable, match="the server is a standby"):
        opened(pair.url(name_of(stores), pair.standby))


def test_a_command_may_read_a_standby(pair, stores):
    """An operator's command that only reads may ask a standby, and writes nothing there."""
    revoke(stores, "alice")
    wait_for(pair.standby, "SELECT count(*) = 1 FROM revocations", name_of(stores))
    with_standby = pair.url(name_of(stores), pair.standby)
    reading = open_stores(with_standby, WRAPPING_KEY, NOW, creates=False)
    assert [one.value for one in reading.revocations.after(0).decisions] == ["alice"]
    with pytest.raises(Unavailable, match="read-only"):
        revoke(reading, "bob")
    reading.database.close()


@pytest.mark.usefixtures("hurried", "hurried_answers")
def test_a_pooler_is_led_to_the_new_primary(pair, url):
    """Behind PgBouncer, which is told of the new primary, a service goes on as it did."""
    with pgbouncer(pair.primary, pool_mode="transaction", server_login_retry=1) as pooler:
        stores = opened(pooler(pair.url(url.rpartition("/")[2], pair.primary)))
        revoke(stores, "alice")
        pair.primary.kill()
        with pytest.raises(Unavailable):
            revoke(stores, "bob")
        pair.promote()
        pooler.lead_to(pair.primary)
        wait_until(lambda: succeeds(stores, "bob"))
        assert [one.value for one in stores.revocations.after(0).decisions] == ["alice", "bob"]
        stores.database.close()


@pytest.mark.usefixtures("hurried", "hurried_answers")
def test_a_pooler_beside_each_server_is_left_for_the_other(pair, url):
    """Behind one PgBouncer for each server, a service goes to the one whose server takes writes now."""
    settings = {"pool_mode": "transaction", "server_login_retry": 1}
    name = url.rpartition("/")[2]
    with pgbouncer(pair.primary, **settings) as first, pgbouncer(pair.standby, **settings) as second:
        there = f"postgresql://cbat@127.0.0.1:{first.port},127.0.0.1:{second.port}/{name}"
        stores = opened(there)
        revoke(stores, "alice")
        wait_for(pair.standby, "SELECT count(*) = 1 FROM revocations", name)
        opened(f"postgresql://cbat@127.0.0.1:{second.port},127.0.0.1:{first.port}/{name}").database.close()
        pair.primary.kill()
        pair.promote()
        wait_until(lambda: succeeds(stores, "bob"))
        again = opened(there)
        assert [one.value for one in again.revocations.after(0).decisions] == ["alice", "bob"]
        for one in (stores, again):
            one.database.close()
