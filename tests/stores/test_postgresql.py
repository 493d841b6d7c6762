"""The parts that only a database server has: URLs, locks, and processes on several hosts."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.stores import Database, RootKeyStore
from tests.support.databases import NOW, ROOT, WRAPPING_KEY, execute, opened
from tests.support.failing_database import revoke
from tests.support.ports import free_port
from tests.support.tls_servers import wait_until

ON_POSTGRESQL = pytest.mark.parametrize("url", ["postgresql"], indirect=True)
WITHOUT_PSYCOPG = """
import sys
sys.modules["psycopg"] = None
from macaroon_cbat.stores import Database
Database("postgresql://user:hunter2@host/database")
"""


@ON_POSTGRESQL
@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_plain_url_means_psycopg(url, scheme):
    """A URL that names no driver, as providers hand them out, is used with psycopg 3."""
    plain = opened(url.replace("postgresql+psycopg", scheme))
    assert plain.database.engine.driver == "psycopg"
    assert [one.state for one in plain.root_keys.records()] == ["current", "next"]
    plain.database.close()


def test_without_psycopg_the_line_says_what_to_install():
    """A PostgreSQL URL without psycopg is refused in one line that says what to install."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PSYCOPG], cwd=ROOT, capture_output=True, text=True, check=False
    )
    last = done.stderr.splitlines()[-1]
    assert "MissingExtra" in last
    assert "pip install 'macaroon_cbat[postgresql]'" in last
    assert "hunter2" not in done.stderr


def test_a_server_out_of_reach_is_unavailable():
    """A database without a listening server is Unavailable, in one line without the password."""
    database = Database(f"postgresql+psycopg://user:hunter2@127.0.0.1:{free_port()}/database")
    with pytest.raises(Unavailable, match="refused") as refused, database.reading():
        pass
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


@ON_POSTGRESQL
def test_a_writer_waits_for_another_one_a_while(stores, url):
    """Beside a writer on another host a writer waits for a few seconds, then gets Unavailable."""
    other = Database(url)
    with other.writing(), pytest.raises(Unavailable, match="lock timeout"):
        revoke(stores, "alice")
    revoke(stores, "alice")
    other.close()


@ON_POSTGRESQL
def test_readers_never_wait(stores, url):
    """Beside a writer, readers see at once what was committed."""
    other = Database(url)
    with other.writing() as connection:
        connection.execute(text("UPDATE root_keys SET state = 'retiring'"))
        assert [one.state for one in stores.root_keys.records()] == ["current", "next"]
        assert stores.revocations.newest() == 0
        opened(url).database.close()
    other.close()


@ON_POSTGRESQL
def test_each_database_has_its_own_lock(stores, server):
    """Writers of two databases on one server do not wait for each other."""
    other = opened(server.new_database())
    with other.database.writing():
        revoke(stores, "alice")
    other.database.close()


def test_others_see_rotation_and_revocation(stores, racers, url):
    """A running process sees by itself what other processes rotate and revoke."""
    database = Database(url)
    running = RootKeyStore(database, WRAPPING_KEY)
    old = running.current()
    racers.race("revoke", url)
    assert stores.revocations.newest() == 200
    racers.race("rotate", url)
    wait_until(lambda: running.current().kid != old.kid)
    assert running.current() == stores.root_keys.current()
    database.close()


@ON_POSTGRESQL
def test_every_connection_may_be_cut(stores, url):
    """An operator who ends every connection costs nothing: the next question opens a new one."""
    revoke(stores, "alice")
    admin = Database(url)
    for _ in range(3):
        with admin.writing() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        assert stores.revocations.newest() == 1
        assert stores.root_keys.rotate(NOW).state == "current"
    admin.close()


@ON_POSTGRESQL
def test_a_database_that_may_only_be_read_is_unavailable_for_writers(stores, url):
    """On a standby, or where the role may only read, writers get Unavailable and readers go on."""
    execute(stores, "SELECT 1")
    standby = opened(url + "?options=-c%20default_transaction_read_only=on")
    assert standby.revocations.newest() == 0
    with pytest.raises(Unavailable, match="read-only"):
        revoke(standby, "alice")
    standby.database.close()


@ON_POSTGRESQL
def test_a_writer_that_is_refused_ends_no_reading(stores, url):
    """A write where only reading is allowed costs the connections of others nothing while they read."""
    standby = opened(url + "?options=-c%20default_transaction_read_only=on")
    with standby.database.reading() as connection:
        before = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with pytest.raises(Unavailable, match="read-only"):
            revoke(standby, "alice")
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() == before
    with standby.database.reading() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() != before
    standby.database.close()


@pytest.mark.parametrize(
    "setting",
    [
        "default_transaction_isolation = 'repeatable read'",
        "default_transaction_isolation = 'serializable'",
        "client_encoding = 'SQL_ASCII'",
        "client_encoding = 'LATIN1'",
    ],
)
def test_settings_of_a_database_change_nothing(server, setting):
    """Writers that wait for each other all succeed, and any text is stored, however it is set."""
    url = server.new_database()
    first = opened(url)
    execute(first, f"ALTER DATABASE {url.rpartition('/')[2]} SET {setting}")
    names = [f"user:Ω{number}" for number in range(40)]
    stores = opened(url)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: revoke(stores, name), names))
    assert sorted(one.value for one in first.revocations.after(0).decisions) == sorted(names)
    for one in (first, stores):
        one.database.close()
    server.drop(url)
