"""A command works on the database that is meant, and makes none by the way."""

import json
from pathlib import Path

import pytest

from tests.support import fork_server
from tests.support.command_line import (
    API,
    COMMAND,
    READING,
    call,
    complaint,
    environment,
    members,
    out,
    run,
)
from tests.support.ports import free_port

CHANGING = {
    "client add": ("client", "add", "b", "--scope", "read", "--audience", API),
    "client update": ("client", "update", "a", "--scope", "write"),
    "client remove": ("client", "remove", "a"),
    "key rotate": ("key", "rotate"),
    "key rewrap": ("key", "rewrap"),
    "revoke": ("revoke", "client", "a"),
}
OF_CLIENT = READING | {"client show": ("client", "show", "a")}
ALL = CHANGING | OF_CLIENT
EVERY = pytest.mark.parametrize(
    "command", [*CHANGING.values(), *OF_CLIENT.values()], ids=[*CHANGING, *OF_CLIENT]
)


@pytest.fixture
def registered(data: Path) -> Path:
    """Return the data folder of a service with the client `a`."""
    out("client", "add", "a", "--scope", "read", "--audience", API, "--data", data)
    return data


def missing(_folder: Path) -> None:
    pass


def empty_folder(folder: Path) -> None:
    folder.mkdir()


def empty_file(folder: Path) -> None:
    folder.mkdir()
    (folder / "macaroon_cbat.sqlite3").touch()


def key_alone(folder: Path) -> None:
    folder.mkdir()
    (folder / "wrapping.key").write_text("B" * 42 + "E\n")
    (folder / "wrapping.key").chmod(0o600)


@EVERY
@pytest.mark.parametrize("there", [missing, empty_folder, empty_file, key_alone])
def test_where_there_is_no_database_none_is_made(tmp_path, command, there):
    """A command that is pointed to no database says so with status 2, and leaves nothing behind."""
    folder = tmp_path / "typo"
    there(folder)
    before = sorted(tmp_path.rglob("*"))
    line = complaint(call(*command, "--data", folder), 2)
    assert f"no database in {folder}: " in line
    assert "--data, MACAROON_CBAT_DATA or MACAROON_CBAT_DATABASE_URL;" in line
    assert "macaroon-cbat serve" in line
    assert sorted(tmp_path.rglob("*")) == before


@EVERY
def test_a_file_that_is_no_database_is_named(registered, command):
    """Another file in the database's place is refused in one line with the folder and what to do."""
    (registered / "macaroon_cbat.sqlite3").write_text("another file\n" * 99)
    for left in registered.glob("macaroon_cbat.sqlite3-*"):
        left.unlink()
    line = complaint(call(*command, "--data", registered), 1)
    assert f"the database in {registered} cannot be used: file is not a database: name the right" in line


def test_a_folder_is_shown_as_it_was_typed(tmp_path):
    """A relative folder is shown as a path that no one takes for a word."""
    done = fork_server.run(
        [*COMMAND, "client", "list", "--data", "typo"],
        cwd=tmp_path, env=environment(), capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("Error: no database in ./typo: ")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_sqlite_cannot_name_is_refused(tmp_path):
    """A data folder whose name is not UTF-8 is refused in one line, before anything is made there."""
    folder = tmp_path / "data\udcff"
    line = complaint(call("serve", "--init", "--data", folder), 2)
    assert line.endswith("is not named in UTF-8: choose another with --data")


def test_a_forgotten_variable_adds_no_client(tmp_path):
    """With MACAROON_CBAT_DATA forgotten, no client is added where no service knows it."""
    line = complaint(call("client", "add", "a", "--scope", "read"), 2)
    assert f"no database in {tmp_path / 'home' / 'macaroon-cbat'}: " in line
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [(("--data", ""), {}), ((), {"MACAROON_CBAT_DATA": ""})],
    ids=["option", "variable"],
)
@pytest.mark.parametrize("command", [("client", "list"), ("serve", "--init")], ids=" ".join)
def test_an_empty_folder_name_is_no_folder(tmp_path, command, arguments, variables):
    """An empty name of the data folder, as of a variable that is not set, is wrong usage, not a folder."""
    done = fork_server.run(
        [*COMMAND, *command, *arguments],
        cwd=tmp_path, env=environment(**variables), capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"is empty" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_a_url_is_not_made_either(tmp_path, data, monkeypatch):
    """An SQLite file that a URL names is named where it is missing, and not made."""
    file = tmp_path / "elsewhere.sqlite3"
    monkeypatch.setenv("MACAROON_CBAT_DATABASE_URL", f"sqlite:///{file}")
    assert f"no database in {file}: " in complaint(call("key", "list", "--data", data), 2)
    assert not file.exists()


@pytest.mark.parametrize("command", CHANGING.values(), ids=CHANGING)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_what_changes_something_says_where(registered, command, as_json):
    """A command that changed something names the database on standard error, JSON or not."""
    json = ("--json",) if as_json and command[:2] in {("client", "add"), ("key", "rotate")} else ()
    result = call(*command, *json, "--data", registered)
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == f"changed the database in {registered}"
    assert "changed the database" not in result.stdout


@pytest.mark.parametrize("command", OF_CLIENT.values(), ids=OF_CLIENT)
def test_what_reads_changes_nothing(registered, command):
    """A command that only reads says nothing of the kind."""
    result = call(*command, "--data", registered)
    assert (result.exit_code, result.stderr) == (0, "")


def test_what_was_refused_changed_nothing(registered):
    """A command that was refused does not say that it changed anything."""
    assert "exists" in complaint(
        call("client", "add", "a", "--scope", "read", "--audience", API, "--data", registered), 1
    )


@pytest.mark.parametrize(
    "command",
    [("serve", "--init"), ("client", "add", "a", "--scope", "read", "--init"), ("key", "list", "--init")],
    ids=" ".join,
)
def test_init_makes_what_serve_makes(tmp_path, command):
    """--init makes folder, database and keys, for their owner alone; commands go on from there."""
    folder = tmp_path / "new" / "data"
    out(*command, "--data", folder)
    assert {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()} == {
        "macaroon_cbat.sqlite3": 0o600, "wrapping.key": 0o600,
    }  # fmt: skip
    assert [one["state"] for one in members("key", "list", "--data", folder)] == ["current", "next"]


def test_serve_init_ends_and_may_be_repeated(tmp_path):
    """`serve --init` listens nowhere, ends, and changes nothing where all is there."""
    for _ in range(2):
        done = run("serve", "--init", "--port", str(free_port()), "--data", tmp_path / "data")
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.decode() == f"the database in {tmp_path / 'data'} is ready\n"


@pytest.mark.parametrize(
    ("options", "variables"),
    [(("--issuer", "https://as.example/"), {}), ((), {"MACAROON_CBAT_ISSUER": "https://as.example"})],
    ids=["option", "variable"],
)
def test_serve_init_records_the_issuer(tmp_path, options, variables):
    """An issuer that `serve --init` is told is what commands go by: keys name it, its own stay inside."""
    done = run("serve", "--init", "--data", tmp_path / "data", *options, **variables)
    assert (done.returncode, done.stderr) == (0, b"")
    export = ("key", "export", "--data", tmp_path / "data", "--audience")
    assert json.loads(out(*export, API))["issuer"] == "https://as.example"
    assert "is the service itself" in complaint(call(*export, "https://as.example/"), 2)


@pytest.mark.parametrize("command", [("client", "list"), ("serve", "--init")], ids=" ".join)
def test_a_lost_wrapping_key_is_not_replaced_by_another(data, command):
    """A database without its wrapping key gets no other one, which could open nothing."""
    kept = (data / "wrapping.key").read_bytes()
    (data / "wrapping.key").unlink()
    assert "wrapping.key is missing: restore the one" in complaint(call(*command, "--data", data), 2)
    assert not (data / "wrapping.key").exists()
    (data / "wrapping.key").write_bytes(kept)
    (data / "wrapping.key").chmod(0o600)
    assert len(members("key", "list", "--data", data)) == 2
