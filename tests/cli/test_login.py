"""`login`, `logout` and `token get`: mistakes are one line that says what to do, and leave nothing behind."""

import json
import threading
from pathlib import Path

import pytest

from macaroon_cbat.client.login_file import LoginFile
from tests.support.command_line import API, call, complaint, out
from tests.support.ports import free_port

ISSUER = "https://auth.example"
LOGIN = ("login", "--issuer", ISSUER, "--client-id", "terminal")
SAVED = {
    "issuer": ISSUER,
    "client_id": "terminal",
    "access_token": "x",
    "renew_access_at": 0,
    "refresh_token": "y",
    "certificate": "/nowhere/client.pem",
    "resource": API,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "login.json"


def kept(file: Path) -> Path:
    """Keep a login."""
    file.write_text(json.dumps(SAVED))
    file.chmod(0o600)
    return file


@pytest.mark.parametrize("command", [("logout",), ("logout", "--local"), ("token", "get")], ids=" ".join)
def test_without_a_login_the_remedy_is_named(file, command):
    """A command that needs a login says how to begin one."""
    line = complaint(call(*command, "--login", file), 2)
    assert line == f"Error: there is no login in {file}: begin one with macaroon-cbat login"


def test_a_login_replaces_no_other(file):
    """A second login to the same file is refused before anything is asked of the service."""
    line = complaint(call(*LOGIN, "--login", kept(file)), 2)
    assert line.startswith(f"Error: there is a login in {file}: end it with macaroon-cbat logout")
    assert json.loads(file.read_text()) == SAVED


def test_a_key_goes_with_a_certificate(file):
    """A key without its certificate is wrong usage."""
    result = call(*LOGIN, "--login", file, "--key", "client.key")
    assert result.exit_code == 2
    assert "--key and --key-passphrase-file go with --cert" in result.stderr


def test_a_service_out_of_reach_leaves_no_file(file):
    """A login that cannot begin leaves neither a login nor a certificate."""
    issuer = f"https://localhost:{free_port()}"
    complaint(call("login", "--issuer", issuer, "--client-id", "terminal", "--login", file), 1)
    assert [one.name for one in file.parent.iterdir() if one.name.startswith("login")] == ["login.json.lock"]


def test_a_local_logout_says_what_it_leaves(file):
    """A logout without the service deletes the file, and says that the tokens are still valid."""
    assert "its tokens are valid until they expire" in out("logout", "--local", "--login", kept(file))
    assert not file.exists()


def test_a_local_logout_waits_for_a_refresh(file):
    """A login that another process renews is deleted after that, or it would be written anew."""
    logout = threading.Thread(target=out, args=("logout", "--local", "--login", kept(file)))
    with LoginFile(file).locked():
        logout.start()
        logout.join(0.3)
        assert logout.is_alive()
        file.write_bytes(file.read_bytes())
    logout.join()
    assert not file.exists()


def test_the_default_file_is_in_the_state_of_the_user(tmp_path, monkeypatch):
    """Without --login the file is where the user's programs keep their state."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    line = complaint(call("token", "get"), 2)
    assert str(tmp_path / "macaroon-cbat" / "login.json") in line


def test_a_relative_folder_of_the_state_is_ignored(tmp_path, monkeypatch):
    """A relative XDG_STATE_HOME puts no token into the folder that the command happens to run in."""
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(tmp_path))
    line = complaint(call("token", "get"), 2)
    assert str(tmp_path / ".local" / "state" / "macaroon-cbat" / "login.json") in line


def test_a_certificate_that_is_gone_is_named(file):
    """A login whose certificate is not there names the file."""
    line = complaint(call("token", "get", "--login", kept(file)), 2)
    assert "/nowhere/client.pem" in line


def test_a_login_that_others_can_read_is_refused(file):
    """A login that other users could have read is not used."""
    kept(file).chmod(0o644)
    assert "can be used by others" in complaint(call("token", "get", "--login", file), 2)


def test_a_login_overwrites_no_certificate_of_the_user(file):
    """A certificate of the user beside the login, of nearly the same name, stays as it is."""
    own = file.with_suffix(".pem")
    own.write_text("the user's own")
    issuer = f"https://localhost:{free_port()}"
    complaint(call("login", "--issuer", issuer, "--client-id", "terminal", "--login", file), 1)
    assert own.read_text() == "the user's own"
