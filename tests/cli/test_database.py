"""`macaroon-cbat database`: the schema is made by a job, and the service has rights to rows alone."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.stores import Database, Stores, postgresql
from macaroon_cbat.stores.schema_versions import VERSIONS
from tests.support.command_line import call, complaint
from tests.support.databases import NOW, execute, opened
from tests.support.migrations import migrate
from tests.support.postgresql import Postgres
from tests.support.replicated import ask
from tests.support.service import API, Service, make_database, settings_in

OWNER, SERVER = "schema_owner", "schema-user"
"""The role of the job, and that of the service, whose name must be quoted."""


@pytest.fixture(scope="module")
def server(shared_postgresql: Postgres) -> Iterator[Postgres]:
    """Give the shared server two roles that are no administrators."""
    for role in (OWNER, SERVER):
        ask(shared_postgresql, f'CREATE ROLE "{role}" LOGIN')
    yield shared_postgresql
    for role in (OWNER, SERVER):
        ask(shared_postgresql, f'DROP ROLE "{role}"')


@contextmanager
def new_database(server: Postgres) -> Iterator[dict[str, str]]:
    """Name an empty database that belongs to the owner, by each role."""
    url = server.new_database()
    ask(server, f"ALTER DATABASE {url.rpartition('/')[2]} OWNER TO {OWNER}")
    yield {role: url.replace("cbat@", f"{role}@") for role in (OWNER, SERVER)}
    server.drop(url)


@pytest.fixture
def urls(server: Postgres) -> Iterator[dict[str, str]]:
    with new_database(server) as named:
        yield named


@pytest.fixture(scope="module")
def stores(server: Postgres) -> Iterator[Stores]:
    """Open a database that the owner made, under the role of the service."""
    with new_database(server) as named:
        done(database("upgrade", named[OWNER], "--grant-to", SERVER))
        one = opened(named[SERVER])
        yield one
        one.database.close()


def database(command: str, url: str, *options: str, **variables: str) -> Result:
    return call("database", command, *options, MACAROON_CBAT_DATABASE_URL=url, **variables)


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_a_job_makes_the_tables_and_a_service_uses_them(urls, tmp_path):
    """The owner's job makes tables and grants rows; a service without further rights mints and revokes."""
    said = done(database("upgrade", urls[OWNER], "--grant-to", SERVER))
    assert f"has schema {VERSIONS.newest}, which is new" in said
    assert said.endswith(f"the role {SERVER} may use its rows")
    assert "is ready for this version" in done(database("check", urls[SERVER]))
    make_database(urls[SERVER])
    settings = settings_in(tmp_path, database_url=urls[SERVER], database_upgrade=0)
    service = Service(tmp_path, settings)
    token = service.token(resource=API, scope="read")
    assert service.introspect(token)["active"] is True
    assert service.revoke(token).status_code == 200
    assert service.introspect(token) == {"active": False}
    assert service.stores.root_keys.rotate(NOW).state == "current"
    service.close()


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("CREATE TABLE more (one TEXT)", id="make a table"),
        pytest.param("DROP TABLE clients", id="drop a table"),
        pytest.param("ALTER TABLE clients ADD COLUMN more TEXT", id="change a table"),
        pytest.param("TRUNCATE revocations", id="empty a table"),
        pytest.param("UPDATE alembic_version SET version_num = '0001'", id="change the version"),
    ],
)
def test_the_role_of_the_service_changes_no_table(stores, statement):
    """A service that was broken into can change rows, and no table."""
    with pytest.raises(Unavailable, match=r"permission denied|must be owner"):
        execute(stores, statement)


def test_an_upgrade_again_says_so(urls):
    """A second upgrade changes nothing, and may grant to one more role."""
    done(database("upgrade", urls[OWNER]))
    assert done(database("upgrade", urls[OWNER])).endswith(f"has schema {VERSIONS.newest}, which was there")
    assert SERVER in done(database("upgrade", urls[OWNER], "--grant-to", SERVER))
    done(database("check", urls[SERVER]))


def test_an_older_schema_is_said_and_upgraded(urls, tmp_path):
    """An older schema: check says so, a service that may not upgrade ends, and the job brings it on."""
    migrate(urls[OWNER], "0005")
    checked = database("check", urls[OWNER])
    assert checked.exit_code == 1
    assert "is of an older version (schema 0005)" in checked.stderr
    assert "run macaroon-cbat database upgrade" in checked.stderr
    left = settings_in(tmp_path, database_url=urls[OWNER], database_upgrade=0)
    with pytest.raises(SettingsError, match="older version"):
        Service(tmp_path, left)
    assert done(database("upgrade", urls[OWNER])).endswith("which was 0005 before")
    done(database("check", urls[OWNER]))


@pytest.mark.parametrize("revision", [None, "0005"])
def test_a_service_that_may_not_upgrade_names_the_job(urls, revision):
    """A service whose role may make or change no table ends with the line that names the job."""
    if revision is not None:
        migrate(urls[OWNER], revision)
        ask_as_owner(urls, f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{SERVER}"')
    with pytest.raises(SettingsError, match="run macaroon-cbat database upgrade as the role") as refused:
        opened(urls[SERVER])
    assert "\n" not in str(refused.value)


def ask_as_owner(urls: dict[str, str], statement: str) -> None:
    there = Database(urls[OWNER])
    with there.writing() as connection:
        connection.exec_driver_sql(statement)
    there.close()


def test_a_role_without_rights_is_said(urls):
    """A schema of this version that the service's role may not use: check and the service name the table."""
    done(database("upgrade", urls[OWNER], "--grant-to", SERVER))
    ask_as_owner(urls, f'REVOKE DELETE ON families FROM "{SERVER}"')
    checked = database("check", urls[SERVER])
    assert checked.exit_code == 1
    assert f"the role {SERVER} may not use every table" in checked.stderr
    assert "(families)" in checked.stderr
    with pytest.raises(SettingsError, match=f"--grant-to {SERVER}"):
        opened(urls[SERVER])


def test_an_empty_database_is_not_ready(urls):
    """A database without tables is not ready, and check makes none."""
    for _ in range(2):
        checked = database("check", urls[OWNER])
        assert (checked.exit_code, checked.stdout) == (1, "")
        assert "no database in postgresql://" in checked.stderr


def test_an_unknown_role_is_refused(urls):
    """A role that the server does not have: nothing is made, and the line says what to do."""
    said = complaint(database("upgrade", urls[OWNER], "--grant-to", "nix; DROP"), 2)
    assert "no role 'nix; DROP': make it with CREATE ROLE" in said
    assert database("check", urls[OWNER]).exit_code == 1


def test_an_embedded_database_has_both(tmp_path: Path):
    """The embedded database is made and checked as any other, without a wrapping key; it has no roles."""
    data = ("--data", str(tmp_path / "data"))
    assert call("database", "check", *data).exit_code == 2
    assert "which is new" in done(call("database", "upgrade", *data))
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["macaroon_cbat.sqlite3"]
    assert "is ready" in done(call("database", "check", *data))
    refused = call("database", "upgrade", *data, "--grant-to", SERVER)
    assert refused.exit_code == 2
    assert "SQLite has no roles" in refused.stderr


def test_a_second_job_waits_for_the_first(urls, monkeypatch):
    """An upgrade that meets another one waits longer than a writer does, and finds its work done."""
    monkeypatch.setattr(postgresql, "BUSY_SECONDS", 1)
    first, waits = Database(urls[OWNER]), threading.Event()
    held = "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with ThreadPoolExecutor() as pool:
        with first.writing(is_migration=True) as connection:
            second = pool.submit(database, "upgrade", urls[OWNER])
            while connection.exec_driver_sql(held).scalar_one() is False:
                waits.wait(0.02)
            waits.wait(1.3)
            assert not second.done()
        assert "which is new" in done(second.result())
    first.close()
