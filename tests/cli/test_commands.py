"""The options and errors that all commands have in common."""

import re
from base64 import urlsafe_b64decode

import click
import pytest

from macaroon_cbat.cli import main
from tests.support import fork_server
from tests.support.command_line import (
    COMMAND,
    ROOT,
    call,
    complaint,
    environment,
    members,
    out,
    run,
    with_database,
)


def commands(group: click.Group, *path: str) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [path]
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        more = (*path, name)
        found += commands(command, *more) if isinstance(command, click.Group) else [more]
    return found


@pytest.mark.parametrize("path", commands(main), ids=lambda path: " ".join(path) or "macaroon-cbat")
def test_every_command_explains_itself(path):
    """Every command has a help text that says what it does and what each option means."""
    # A thumbprint may begin with a hyphen, so revoke has no short options.
    for option in ("--help",) if path == ("revoke",) else ("--help", "-h"):
        text = out(*path, option)
        assert text.startswith(f"Usage: {' '.join(['macaroon-cbat', *path])}")
        assert len(text.splitlines()) > 3


def test_the_commands_are_those_of_the_documentation():
    """The command line has the commands that scripts and the README rely on, and no others."""
    assert {" ".join(path) for path in commands(main)} == {
        "", "backup", "client", "client add", "client apply", "client import", "client update",
        "client invite", "client list", "client remove", "client rotate-secret", "client show", "database",
        "database check", "database upgrade", "deploy-config",
        "deploy-config compose", "deploy-config grafana", "deploy-config kubernetes",
        "deploy-config nginx-service", "deploy-config prometheus", "deploy-config systemd", "gateway",
        "grant", "grant list", "guide", "key", "key export",
        "key generate-wrapping", "key list", "key retire", "key rewrap", "key rotate", "login", "logout",
        "proxy-config", "restore", "revocation", "revocation list", "revoke", "serve", "thumbprint", "token",
        "token attenuate", "token discharge", "token end", "token get", "token inspect", "token list",
        "token mint", "token prove", "token verify", "trust", "trust add", "trust check", "trust list",
        "trust remove", "trust show",
    }  # fmt: skip


def test_the_version_is_shown():
    """`--version` says which version this is."""
    assert re.search(r"\b0\.\d+\.\d+", out("--version"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nonsense",), b"Error: 'nonsense' is no command"),
        (("--nonsense",), b"Error: No such option '--nonsense'"),
        (("token", "nonsense"), b"Error: 'nonsense' is no command"),
    ],
)
def test_an_unknown_command_is_wrong_usage(arguments, words):
    """An unknown command or option is wrong usage: status 2, on standard error."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert words in done.stderr
    assert b"Traceback" not in done.stderr


def test_the_module_and_the_script_are_one(data):
    """`python -m macaroon_cbat` is the command `macaroon-cbat`, and needs no other working directory."""
    done = fork_server.run(
        [*COMMAND, "--version"], cwd=ROOT / "tests", env=environment(), capture_output=True, check=True
    )
    assert done.stdout.startswith(b"macaroon-cbat")


def test_the_data_folder_may_come_from_the_environment(data, tmp_path, monkeypatch):
    """MACAROON_CBAT_DATA names the data folder, and --data comes before it."""
    monkeypatch.setenv("MACAROON_CBAT_DATA", str(data))
    out("client", "add", "billing", "--scope", "read")
    assert [one["client_id"] for one in members("client", "list", "--data", data)] == ["billing"]
    other = with_database(tmp_path / "other")
    assert members("client", "list", "--data", other) == []


def test_without_a_folder_the_users_own_is_taken(tmp_path):
    """Without any setting the data lie in the user's own folder."""
    folder = with_database(tmp_path / "home" / "macaroon-cbat")
    out("client", "add", "billing", "--scope", "read")
    assert [one["client_id"] for one in members("client", "list", "--data", folder)] == ["billing"]


@pytest.mark.parametrize("command", [("client", "list"), ("key", "list"), ("key", "rotate")], ids=" ".join)
def test_settings_that_are_wrong_are_one_line(data, tmp_path, monkeypatch, command):
    """A wrong setting is one line with status 2, in every command that needs the data."""
    (tmp_path / "file").touch()
    assert "cannot be made" in complaint(call(*command, "--init", "--data", tmp_path / "file" / "x"), 2)
    (data / "wrapping.key").chmod(0o644)
    assert "chmod 600" in complaint(call(*command, "--data", data), 2)
    (data / "wrapping.key").unlink()
    assert "wrapping.key is missing: restore" in complaint(call(*command, "--data", data), 2)
    assert not (data / "wrapping.key").exists()
    monkeypatch.setenv("MACAROON_CBAT_COLOUR", "blue")
    assert "unknown setting MACAROON_CBAT_COLOUR" in complaint(call(*command, "--data", data), 2)


def test_a_database_that_does_not_answer_is_status_1(data):
    """A database that cannot be read is one line with status 1."""
    out("key", "list", "--data", data)
    (data / "macaroon_cbat.sqlite3").write_bytes(b"no database" * 1000)
    for left in data.glob("*-wal"):
        left.unlink()
    assert "not a database" in complaint(call("key", "list", "--data", data), 1)


def test_the_wrapping_key_never_shows(data):
    """No command shows the wrapping key."""
    shown = out("client", "add", "billing", "--scope", "read", "--data", data)
    shown += out("key", "list", "--data", data) + out("client", "list", "--json", "--data", data)
    text = (data / "wrapping.key").read_text().strip()
    assert len(urlsafe_b64decode(text + "=")) == 32
    assert text not in shown


def test_a_closed_pipe_is_no_error(data):
    """A reader that goes away early, such as head, causes no traceback."""
    script = f"{' '.join(COMMAND)} token --help | head -c 1"
    done = fork_server.run(
        ["bash", "-c", script], cwd=ROOT, env=environment(), capture_output=True, check=False
    )
    assert b"Traceback" not in done.stderr
