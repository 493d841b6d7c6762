"""The wrapping key of services that share a database server, and secrets that come in files."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import API, call, complaint, out, run
from tests.support.ports import free_port
from tests.support.postgresql import Postgres

KEY, OTHER = "A" * 42 + "E", "B" * 42 + "E"
SECRET_URL = "postgresql://user:hunter2@127.0.0.1:1/db"
SECRETS = {"DATABASE_URL": SECRET_URL, "WRAPPING_KEY": KEY, "LIMITS_STORAGE": "redis://:hunter2@127.0.0.1:1"}
"""Settings that hold a secret, with one."""


@pytest.fixture
def url(shared_postgresql: Postgres) -> Iterator[str]:
    url = shared_postgresql.new_database()
    yield url
    shared_postgresql.drop(url)


def private(file: Path, content: str) -> str:
    """Write a file that its owner alone may read; return its name, as a variable holds it."""
    file.write_text(content)
    file.chmod(0o600)
    return str(file)


@pytest.mark.parametrize("command", [("serve",), ("serve", "--init"), ("client", "list")], ids=" ".join)
@pytest.mark.parametrize("folder", ["fresh", "with a key"])
def test_a_database_server_needs_a_key_that_is_set(tmp_path, data, url, command, folder):
    """With a database server no wrapping key is made or found by the way: the line says what to do."""
    home = data if folder == "with a key" else tmp_path / "fresh"
    port = ("--port", str(free_port())) if command == ("serve",) else ()
    done = run(*command, *port, "--data", home, MACAROON_CBAT_DATABASE_URL=url)
    assert (done.returncode, done.stdout) == (2, b"")
    [line] = done.stderr.decode().splitlines()
    assert "macaroon-cbat key generate-wrapping" in line
    assert "MACAROON_CBAT_WRAPPING_KEY_FILE" in line
    assert (f"if it was used with {home / 'wrapping.key'}" in line) == (folder == "with a key")
    assert not (tmp_path / "fresh").exists()


def test_hosts_with_the_same_key_file_work_on_one_database(tmp_path, url, monkeypatch):
    """Two hosts that read the same key from a file each share a database, and no data folder."""
    made = tmp_path / "made.key"
    assert out("key", "generate-wrapping", "--output", made) == ""
    monkeypatch.setenv("MACAROON_CBAT_DATABASE_URL_FILE", private(tmp_path / "url", url + "\n"))
    kids = []
    for host in ("one", "two"):
        key = private(tmp_path / f"{host}.key", made.read_text())
        monkeypatch.setenv("MACAROON_CBAT_WRAPPING_KEY_FILE", key)
        out("serve", "--init", "--data", tmp_path / host)
        kids.append(json.loads(out("key", "export", "--audience", API, "--data", tmp_path / host))["keys"])
        assert not (tmp_path / host).exists()
    assert kids[0] == kids[1]


def test_a_server_without_tables_is_no_database(url, monkeypatch):
    """On a database server without our tables a command says so, and makes none."""
    monkeypatch.setenv("MACAROON_CBAT_DATABASE_URL", url)
    monkeypatch.setenv("MACAROON_CBAT_WRAPPING_KEY", KEY)
    place = url.replace("+psycopg", "")
    for _ in range(2):
        assert f"no database in {place}: " in complaint(call("client", "add", "a", "--scope", "read"), 2)
    out("client", "list", "--init")
    changed = call("client", "add", "a", "--scope", "read", "--audience", API)
    assert changed.stderr.splitlines()[-1] == f"changed the database in {place}"


def test_a_generated_key_is_one():
    """`key generate-wrapping` prints 32 random bytes as base64url, another each time."""
    made = {out("key", "generate-wrapping") for _ in range(3)}
    assert len(made) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}\n", one) for one in made)


def test_a_generated_key_goes_to_a_new_private_file(tmp_path):
    """`--output` makes a file of mode 0600, and never replaces a key that root keys may need."""
    file = tmp_path / "wrapping.key"
    out("key", "generate-wrapping", "--output", file)
    kept = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert f"{file} exists" in complaint(call("key", "generate-wrapping", "--output", file), 2)
    assert "cannot be written" in complaint(call("key", "generate-wrapping", "--output", file / "x"), 2)
    assert [path.name for path in tmp_path.iterdir()] == ["wrapping.key"]
    assert file.read_text() == kept
    assert len(out("key", "generate-wrapping", "--output", "-").strip()) == 43


def test_a_link_is_not_replaced_by_a_key(tmp_path):
    """A name that leads nowhere is taken as well: what it should lead to may be mounted later."""
    (tmp_path / "wrapping.key").symlink_to(tmp_path / "elsewhere")
    assert "exists" in complaint(call("key", "generate-wrapping", "--output", tmp_path / "wrapping.key"), 2)
    assert (tmp_path / "wrapping.key").is_symlink()


@pytest.mark.parametrize(
    ("name", "value"),
    [*SECRETS.items(), ("UPSTREAM_CLIENT_SECRET", "hunter2")],
    ids=lambda one: one.lower(),
)
def test_a_setting_and_its_file_together_are_an_error(tmp_path, data, monkeypatch, name, value):
    """A setting that is there itself and as a file is an error that says so, and shows no secret."""
    monkeypatch.setenv(f"MACAROON_CBAT_{name}", value)
    monkeypatch.setenv(f"MACAROON_CBAT_{name}_FILE", private(tmp_path / "file", value))
    line = complaint(call("client", "list", "--data", data), 2)
    assert f"MACAROON_CBAT_{name} and MACAROON_CBAT_{name}_FILE are both set: unset one" in line
    assert value not in line


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("content", [None, "", "\n", "hunter2 hunter2", "\x00", "folder", "open"], ids=repr)
def test_a_file_without_a_secret_is_refused(tmp_path, data, monkeypatch, name, content):
    """A file that is missing, empty, open to others or no secret is one line without what it holds."""
    file = tmp_path / "file"
    if content == "folder":
        file.mkdir()
    elif content is not None:
        private(file, SECRETS[name] if content == "open" else content)
        file.chmod(0o644 if content == "open" else 0o600)
    monkeypatch.setenv(f"MACAROON_CBAT_{name}_FILE", str(file))
    line = complaint(call("client", "list", "--data", data), 2)
    assert name in line or str(file) in line
    assert "hunter2" not in line
    assert KEY not in line


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", " \n\n"], ids=repr)
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "BOM"])
def test_a_file_may_end_as_editors_end_it(tmp_path, data, monkeypatch, ending, mark):
    """A line end behind the secret, and a byte order mark before it, are no part of it."""
    url = f"sqlite:///{tmp_path / 'db.sqlite3'}"
    monkeypatch.setenv("MACAROON_CBAT_DATABASE_URL_FILE", private(tmp_path / "url", mark + url + ending))
    monkeypatch.setenv("MACAROON_CBAT_WRAPPING_KEY_FILE", private(tmp_path / "key", mark + KEY + ending))
    out("key", "list", "--init", "--data", data)
    assert (tmp_path / "db.sqlite3").exists()


def test_a_key_file_of_the_operator_is_never_written(tmp_path, data, monkeypatch):
    """`key rewrap` encrypts under the first key in the file, which then is enough, and not the file."""
    file = tmp_path / "key"
    monkeypatch.setenv("MACAROON_CBAT_WRAPPING_KEY_FILE", private(file, KEY))
    monkeypatch.setenv("MACAROON_CBAT_DATABASE_URL", f"sqlite:///{tmp_path / 'db.sqlite3'}")
    before = out("key", "export", "--init", "--audience", API, "--data", data)
    assert "one wrapping key is set" in call("key", "rewrap", "--data", data).stderr
    private(file, f"{OTHER} {KEY}\n")
    out("key", "rewrap", "--data", data)
    assert file.read_text() == f"{OTHER} {KEY}\n"
    private(file, OTHER)
    assert out("key", "export", "--audience", API, "--data", data) == before
    private(file, KEY)
    assert "another wrapping key" in complaint(call("key", "list", "--data", data), 2)


def test_the_key_file_does_not_show(tmp_path, data, monkeypatch):
    """No command prints the key or the database's password that a file holds."""
    monkeypatch.setenv("MACAROON_CBAT_WRAPPING_KEY_FILE", private(tmp_path / "key", KEY))
    monkeypatch.setenv("MACAROON_CBAT_DATABASE_URL_FILE", private(tmp_path / "url", SECRET_URL))
    line = complaint(call("client", "list", "--data", data), 1)
    assert "hunter2" not in line
    assert KEY not in line
