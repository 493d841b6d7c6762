"""Commands on a database that their user may read, but not write."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.another_user import ANOTHER_USER, as_user
from tests.support.command_line import API, READING, call, out, with_database

CHANGING = {"client add": ("client", "add", "b", "--scope", "read"), "key rotate": ("key", "rotate")}


@pytest.fixture(autouse=True)
def _out_of_the_home(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(place / "home"))


@pytest.fixture
def data(place: Path) -> Path:
    """Return the folder of a database with a client and a revocation; root owns all of it."""
    data = with_database(place / "data")
    out("client", "add", "a", "--scope", "read", "--audience", API, "--data", data)
    out("revoke", "client", "a", "--data", data)
    return data


@contextmanager
def readable(data: Path) -> Iterator[Path]:
    """Let another user own everything in the folder, read it, and write nothing."""
    for path in (data, *data.iterdir()):
        path.chmod(0o500 if path.is_dir() else 0o400)
        os.chown(path, ANOTHER_USER, ANOTHER_USER)
    yield data
    for path in (data, *data.iterdir()):
        os.chown(path, 0, 0)


def said_by_another(*command: str | Path) -> str:
    """Return what a command of that user prints, and its status."""

    def act() -> str:
        result = call(*command)
        return f"{result.exit_code} {result.stdout}{result.stderr if result.exit_code else ''}"

    return as_user(ANOTHER_USER, ANOTHER_USER, act)


@pytest.mark.parametrize("command", READING.values(), ids=READING)
def test_what_reads_works_where_nothing_can_be_written(data, command):
    """In a folder that cannot be written, a command that reads works as elsewhere."""
    expected = out(*command, "--data", data)
    before = sorted(path.name for path in data.iterdir())
    with readable(data):
        assert said_by_another(*command, "--data", data) == f"0 {expected}"
    assert sorted(path.name for path in data.iterdir()) == before


@pytest.mark.parametrize("command", CHANGING.values(), ids=CHANGING)
def test_what_changes_something_says_that_it_cannot(data, command):
    """There a command that changes something is one line with status 1, and changes nothing."""
    before = out("client", "list", "--data", data) + out("key", "list", "--data", data)
    with readable(data):
        said = said_by_another(*command, "--data", data)
    assert said.startswith("1 Error: ")
    assert "readonly database: let the service's user write" in said
    assert len(said.splitlines()) == 1
    assert out("client", "list", "--data", data) + out("key", "list", "--data", data) == before


def test_what_a_running_service_wrote_is_seen(data):
    """Beside a service that is writing, the command sees what was committed, from the write-ahead log."""
    with closing(sqlite3.connect(data / "macaroon_cbat.sqlite3", isolation_level=None)) as service:
        service.execute("UPDATE clients SET client_id = 'renamed'")
        assert (data / "macaroon_cbat.sqlite3-wal").stat().st_size > 0
        with readable(data):
            assert said_by_another("client", "list", "--data", data).startswith("0 renamed ")


@pytest.mark.parametrize("command", [*READING.values(), *CHANGING.values()], ids=[*READING, *CHANGING])
@pytest.mark.parametrize("name", ["", "DATABASE_URL", "DATABASE_URL_FILE", "WRAPPING_KEY_FILE"])
def test_what_cannot_be_reached_is_one_line(data, place, monkeypatch, command, name):
    """A command of another user who may not even look is one line, and no traceback."""
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    if name:
        url = f"sqlite:///{closed / 'db.sqlite3'}" if name == "DATABASE_URL" else str(closed / "file")
        monkeypatch.setenv(f"MACAROON_CBAT_{name}", url)
    with readable(data):
        said = said_by_another(*command, "--data", data if name else closed)
    assert said[:9] in {"1 Error: ", "2 Error: ", "2 Usage: "}
    assert str(closed) in said
    assert "Traceback" not in said
