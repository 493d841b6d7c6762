"""A database that does not fit stops `serve` and every command in one line, and stays as it was."""

import sqlite3
from pathlib import Path

import pytest

from tests.support.command_line import call, complaint, members, out, run
from tests.support.migrations import migrate
from tests.support.ports import free_port


@pytest.fixture
def file(data: Path) -> Path:
    """Return a database with a client in it."""
    out("client", "add", "billing", "--scope", "read", "--data", data)
    return data / "macaroon_cbat.sqlite3"


def everything(file: Path) -> list[str]:
    """Return all that the database holds, as SQL."""
    connection = sqlite3.connect(file)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def check(data: Path, file: Path, *reasons: str, **variables: str) -> None:
    """Check that neither the service nor a command starts, that both say why, and that nothing changed."""
    before = everything(file)
    done = run("serve", "--port", str(free_port()), "--data", data, **variables)
    assert (done.returncode, done.stdout) == (2, b""), done.stderr
    lines = done.stderr.decode().splitlines()
    for command in (("key", "rotate"), ("client", "remove", "billing")):
        lines.append(complaint(call(*command, "--data", data, **variables), 2))
    assert len(lines) == 3
    for line in lines:
        assert "hunter2" not in line
        for reason in reasons:
            assert reason in line
    assert everything(file) == before


def test_a_newer_schema(data, file):
    """A database of a newer version says which version it is, and what to install."""
    connection = sqlite3.connect(file)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("UPDATE service_facts SET value = '9999' WHERE name = 'schema works with'")
    connection.close()
    check(data, file, "'9999'", "install the newer macaroon_cbat")


@pytest.fixture
def old(data: Path) -> Path:
    """Return a data folder with a database as version 0001 left it."""
    (data / "macaroon_cbat.sqlite3").unlink()
    migrate(f"sqlite:///{data / 'macaroon_cbat.sqlite3'}", "0001")
    return data


@pytest.mark.parametrize(
    "command", [("client", "list"), ("key", "rotate"), ("client", "add", "a", "--scope", "x")], ids=" ".join
)
def test_an_older_schema_is_not_upgraded_by_the_way(old, command):
    """A command leaves a database of an older version as it is, beside a service that may be running."""
    before = everything(old / "macaroon_cbat.sqlite3")
    line = complaint(call(*command, "--data", old), 2)
    assert "older version (schema 0001): restart macaroon-cbat serve" in line
    assert everything(old / "macaroon_cbat.sqlite3") == before


def test_a_service_that_may_not_upgrade_leaves_an_older_schema(old):
    """`serve` with MACAROON_CBAT_DATABASE_UPGRADE=0 ends beside an older schema, and leaves it as it is."""
    before = everything(old / "macaroon_cbat.sqlite3")
    line = complaint(call("serve", "--data", old, MACAROON_CBAT_DATABASE_UPGRADE="0"), 2)
    assert "or run macaroon-cbat database upgrade" in line
    assert everything(old / "macaroon_cbat.sqlite3") == before


@pytest.mark.parametrize("value", ["2", "no", "-1"])
def test_whether_to_upgrade_is_one_or_zero(data, value):
    """A value of MACAROON_CBAT_DATABASE_UPGRADE that is neither is refused."""
    line = complaint(call("client", "list", "--data", data, MACAROON_CBAT_DATABASE_UPGRADE=value), 2)
    assert f"MACAROON_CBAT_DATABASE_UPGRADE must be 1 or 0, not {value!r}" in line


@pytest.mark.parametrize("command", [("serve", "--init"), ("client", "list", "--init")], ids=" ".join)
def test_an_older_schema_is_brought_up_to_date(old, command):
    """`serve`, and --init, bring a database of an older version up to date."""
    out(*command, "--data", old)
    out("client", "add", "billing", "--scope", "read", "--data", old)
    assert [one["client_id"] for one in members("client", "list", "--data", old)] == ["billing"]


def test_another_wrapping_key(data, file):
    """Another wrapping key, in the file or in the environment, says what to restore."""
    (data / "wrapping.key").rename(data / "kept.key")
    (data / "wrapping.key").write_text("B" * 42 + "E\n")
    (data / "wrapping.key").chmod(0o600)
    check(data, file, "another wrapping key", "restore the wrapping.key")
    (data / "kept.key").replace(data / "wrapping.key")
    variable = {"MACAROON_CBAT_WRAPPING_KEY": "B" * 42 + "E"}
    check(data, file, "another wrapping key", **variable)
    assert len(members("key", "list", "--data", data)) == 2


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("db.sqlite3", "MACAROON_CBAT_DATABASE_URL"),
        ("postgresql://user:hunter2@host:port/db", "MACAROON_CBAT_DATABASE_URL"),
        ("nosuch://host/db", "MACAROON_CBAT_DATABASE_URL"),
        ("postgresql://user:hunter2@host/db?prepare_threshold=0", "prepare_threshold"),
        ("postgresql://user:hunter2@host/db?connect_timeout=soon", "_DATABASE_URL) must be a number"),
        ("postgresql://user:hunter2@host/db?sslmode=on", "_DATABASE_URL) must be disable or"),
        ("postgresql://user:hunter2@host/db?nosuchoption=1", "the option nosuchoption of"),
    ],
)
def test_a_url_that_cannot_be_used(data, file, url, reason):
    """A database URL that cannot be used names the setting or its option, and shows no password."""
    check(data, file, reason, MACAROON_CBAT_DATABASE_URL=url)


def test_a_database_out_of_reach(data, file, monkeypatch):
    """A database that does not answer is one line with status 1: it may answer later."""
    url = f"postgresql://cbat:hunter2@127.0.0.1:{free_port()}/db"
    monkeypatch.setenv("MACAROON_CBAT_DATABASE_URL", url)
    monkeypatch.setenv("MACAROON_CBAT_WRAPPING_KEY", "B" * 42 + "E")
    line = complaint(call("key", "list", "--data", data), 1)
    assert "connection failed" in line
    assert "hunter2" not in line
