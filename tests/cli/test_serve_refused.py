"""A database that does not fit stops `serve` and every command in one line, and stays as it was."""

import sqlite3
from pathlib import Path

import pytest

from tests.cli.material import call, complaint, free_port, members, out, run
from tests.stores.test_migrations import migrate


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
    commands = (("serve", "--port", str(free_port())), ("key", "rotate"), ("client", "remove", "billing"))
    for command in commands:
        done = run(*command, "--data", data, **variables)
        assert (done.returncode, done.stdout) == (2, b""), done.stderr
        [line] = done.stderr.decode().splitlines()
        assert "hunter2" not in line
        for reason in reasons:
            assert reason in line
    assert everything(file) == before


def test_a_newer_schema(data, file):
    """A database of a newer version says which version it is, and what to install."""
    connection = sqlite3.connect(file)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    check(data, file, "'9999'", "install the newer macaroon_cbat")


def test_an_older_schema(data, file):
    """A database of the version before is brought up to date by whoever opens it first, with all it holds."""
    before = members("client", "list", "--data", data)
    old = data.parent / "old"
    old.mkdir()
    migrate(f"sqlite:///{old / 'macaroon_cbat.sqlite3'}", "0001")
    assert members("client", "list", "--data", old) == []
    added = out("client", "add", "billing", "--scope", "read", "--data", old)
    assert "billing" in added
    assert members("client", "list", "--data", old) == before


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
    ],
)
def test_a_url_that_does_not_parse(data, file, url, reason):
    """A database URL that does not parse names the setting and shows no password."""
    check(data, file, reason, MACAROON_CBAT_DATABASE_URL=url)


def test_a_database_out_of_reach(data, file, monkeypatch):
    """A database that does not answer is one line with status 1: it may answer later."""
    url = f"postgresql://nobody:hunter2@127.0.0.1:{free_port()}/db"
    monkeypatch.setenv("MACAROON_CBAT_DATABASE_URL", url)
    line = complaint(call("key", "list", "--data", data), 1)
    assert "connection failed" in line
    assert "hunter2" not in line
