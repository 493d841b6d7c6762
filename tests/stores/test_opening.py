import sqlite3
from threading import Timer

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.stores import Database, RootKeyStore, WrappingKey
from macaroon_cbat.stores.schema import schema
from macaroon_cbat.stores.urls import read_url
from tests.support.databases import METADATA, NOW, ON_SQLITE, WRAPPING_KEY, execute, opened, url_in


def execute_in(url: str, statement: str) -> None:
    """Run SQL before, or without, any schema of the package."""
    database = Database(url)
    with database.writing() as connection:
        connection.execute(text(statement))
    database.close()


def test_the_migrations_make_the_schema(empty_url):
    """The migrations from nothing leave exactly the tables that the code uses."""
    stores = opened(empty_url)
    with stores.database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema) == []
    stores.database.close()


def test_opening_again_changes_nothing(stores, open_again):
    """Opening a database that is up to date keeps every key, client and schema version as it is."""
    stores.clients.add("billing", METADATA, secret="s" * 22, now=NOW)
    again = open_again()
    assert again.root_keys.all() == stores.root_keys.all()
    assert again.clients.all() == stores.clients.all()
    assert again.root_keys.records() == stores.root_keys.records()


def test_a_half_made_database_is_finished(tmp_path):
    """A database that was opened but never migrated, an empty file, is made whole."""
    (tmp_path / "db.sqlite3").touch()
    stores = opened(url_in(tmp_path))
    assert len(stores.root_keys.all()) == 2
    stores.database.close()


def test_a_failed_migration_leaves_nothing(empty_url):
    """A migration that fails in the middle leaves no table behind: the next start begins anew."""
    execute_in(empty_url, "CREATE TABLE revoked_tokens (foreign_table TEXT)")
    with pytest.raises(Unavailable, match="already exists"):
        opened(empty_url)
    execute_in(empty_url, "DROP TABLE revoked_tokens")
    stores = opened(empty_url)
    assert stores.clients.all() == []
    stores.database.close()


def test_a_newer_database_is_refused(stores, url):
    """A database that a newer version wrote is a SettingsError in one line that says what to do."""
    execute(stores, "UPDATE alembic_version SET version_num = '9999'")
    execute(stores, "UPDATE service_facts SET value = '9999' WHERE name = 'schema works with'")
    with pytest.raises(SettingsError, match=r"9999.*install the newer macaroon_cbat") as refused:
        opened(url)
    assert "\n" not in str(refused.value)


def test_another_wrapping_key_is_refused(stores, url):
    """A wrapping key that does not open the root keys stops the start, and says which file to restore."""
    with pytest.raises(SettingsError, match=r"another wrapping key; restore the wrapping\.key") as refused:
        opened(url, WrappingKey(bytes(32)))
    assert "\n" not in str(refused.value)


def test_processes_open_a_new_database_at_once(racers, new_url):
    """Processes that open a new database at the same moment all work, with the same two root keys."""
    for _ in range(25):
        kids = racers.race("open", new_url())
        assert kids == [kids[0]] * 4
        assert len(kids[0]) == 2


def test_a_new_database_waits_for_another_writer(tmp_path):
    """A process that opens a new database while another one writes to it waits, and then works."""
    other = sqlite3.connect(tmp_path / "db.sqlite3", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE something (else_ TEXT)")
    timer = Timer(0.3, other.execute, ["COMMIT"])
    timer.start()
    stores = opened(url_in(tmp_path))
    assert len(stores.root_keys.all()) == 2
    stores.database.close()
    timer.join()
    other.close()


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("db.sqlite3", id="a file name"),
        pytest.param("", id="nothing"),
        pytest.param("sqlite:/db", id="too few slashes"),
        pytest.param("sqlite://", id="no file"),
        pytest.param("sqlite:///:memory:", id="memory"),
        pytest.param("sqlite:///file::memory:?uri=true", id="memory as a URI"),
        pytest.param("oracle9i://host/db", id="an unknown database"),
        pytest.param("postgresql+nosuchdriver://host/db", id="an unknown driver"),
        pytest.param("postgresql+asyncpg://host/db", id="an asynchronous driver"),
        pytest.param("mysql+pymysql://user:hunter2@host/db", id="a driver that is not installed"),
        pytest.param("postgresql://user:hunter2@host:port/db", id="a port that is no number"),
        pytest.param("postgresql://user:hunter2@host:99999/db", id="a port that is none"),
        pytest.param("postgresql://user:hunter2@/db?host=a:1&host=b:c", id="a port of several that is none"),
        *(pytest.param(f"postgresql://user:hunter2@host/db?{option}", id=option) for option in (
            "prepare_threshold=0", "prepare_threshold=none", "prepare_threshold=soon", "autocommit=1",
            "context=x", "row_factory=x", "cursor_factory=x", "nosuchoption=1", "plugin=x", "replication=1",
            "connect_timeout=soon", "connect_timeout=1.5", "connect_timeout=1&connect_timeout=2",
            "tcp_user_timeout=5s", "keepalives=yes", "keepalives_idle=-1", "port=x", "port=0",
            "sslmode=REQUIRE", "sslmode=a&sslmode=b", "target_session_attrs=any,read-write",
            "channel_binding=on", "ssl_min_protocol_version=1.2", "gssencmode=no", "client_encoding=latin1",
            "statement_cache_size=0", "pgbouncer=true",
        )),
        *(pytest.param(f"sqlite:////no/db?{option}", id=option) for option in (
            "timeout=soon", "timeout=5", "uri=maybe", "mode=ro", "mode=read&uri=true", "cached_statements=x",
            "isolation_level=x", "detect_types=x", "check_same_thread=true", "nosuchoption=1",
            "mode=ro&mode=rw&uri=true", "mode=memory&uri=true", "connect_timeout=1",
        )),
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_used_is_refused(url):
    """A database URL that cannot be used is a SettingsError in one line, without the password."""
    with pytest.raises(SettingsError, match="MACAROON_CBAT_DATABASE_URL") as refused:
        Database(url)
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert url.partition("?uri")[0].partition("?")[2].partition("=")[0] in str(refused.value)


@pytest.mark.parametrize(
    "option",
    [
        "connect_timeout=3", "sslmode=prefer", "application_name=cbat", "keepalives=0", "port=5432",
        "target_session_attrs=read-write", "options=-c%20statement_timeout%3D9000", "client_encoding=utf8",
    ],
)  # fmt: skip
def test_an_option_of_the_library_is_passed_on(option):
    """An option of PostgreSQL's library may stand in the URL, and is passed on."""
    name, _, value = option.partition("=")
    _, arguments = Database(f"postgresql://u@h/d?{option}").engine.dialect.create_connect_args(
        read_url(f"postgresql://u@h/d?{option}")
    )
    assert arguments[name] == value.replace("%20", " ").replace("%3D", "=")


def test_a_missing_folder_is_unavailable(tmp_path):
    """A database in a folder that does not exist cannot be judged: Unavailable, and nothing is made."""
    with pytest.raises(Unavailable, match="unable to open database file"):
        opened(url_in(tmp_path / "missing"))
    assert list(tmp_path.iterdir()) == []


@ON_SQLITE
def test_a_read_only_database_is_unavailable(stores, tmp_path):
    """A database that can be read but not written is Unavailable for what writes, and reads go on."""
    stores.clients.add("billing", METADATA, secret="s" * 22, now=NOW)
    read_only = Database(f"sqlite:///file:{tmp_path / 'db.sqlite3'}?mode=ro&uri=true")
    with read_only.reading() as connection:
        assert connection.exec_driver_sql("SELECT client_id FROM clients").all() == [("billing",)]
    with pytest.raises(Unavailable, match="readonly"):
        RootKeyStore(read_only, WRAPPING_KEY).rotate(NOW)
    read_only.close()


def test_what_is_no_database_is_unavailable(tmp_path):
    """A file that is no database is Unavailable, and stays as it is."""
    content = b"this is a diary, not a database" * 100
    (tmp_path / "db.sqlite3").write_bytes(content)
    with pytest.raises(Unavailable, match="not a database"):
        opened(url_in(tmp_path))
    assert (tmp_path / "db.sqlite3").read_bytes() == content


@ON_SQLITE
def test_sqlite_waits_for_the_disk(stores):
    """A commit on SQLite ends once the disk has it: a power cut takes nothing that was answered."""
    assert execute(stores, "PRAGMA synchronous") == [(2,)]


@ON_SQLITE
def test_sqlite_writes_ahead(stores, tmp_path):
    """SQLite keeps a write-ahead log, so that one writer stops no reader."""
    connection = sqlite3.connect(tmp_path / "db.sqlite3")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_the_issuer_is_remembered(stores, open_again):
    """The issuer that a service ran as last is known to the process that opens the database next."""
    assert stores.recorded_issuer() is None
    for issuer in ("https://first.example", "https://second.example", "https://second.example"):
        stores.record_issuer(issuer)
        assert open_again().recorded_issuer() == issuer
