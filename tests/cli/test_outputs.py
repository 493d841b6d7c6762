"""Files that commands write: over none that is there, to where links lead, and not once one is refused."""

import json
import os
import shlex
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from macaroon_cbat.macaroon.keys import read_key_file
from tests.support import fork_server
from tests.support.command_line import API, COMMAND, ROOT, call, complaint, environment, members, out, run

ADD = ("client", "add", "billing", "--scope", "read", "--audience", API)
PROXY = ("--upstream", "127.0.0.1:8000", "--cert", "/etc/ssl/api.pem")


def names(data: Path) -> list[str]:
    return [one["client_id"] for one in members("client", "list", "--data", data)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


def test_no_secret_takes_the_place_of_another(data, file):
    """`--secret-file` names a new file: another client's secret stays, and no client is added."""
    out(*ADD, "--secret-file", file, "--data", data)
    before = file.read_bytes()
    line = complaint(call("client", "add", "new", *ADD[3:], "--secret-file", file, "--data", data), 2)
    assert f"secret file {file} exists already: name another file, or replace it with --force" in line
    assert (file.read_bytes(), names(data)) == (before, ["billing"])
    out("client", "add", "new", *ADD[3:], "--secret-file", file, "--force", "--data", data)
    assert (file.read_bytes() != before, len(file.read_text()), names(data)) == (True, 44, ["billing", "new"])


def test_a_secret_goes_where_a_link_leads(data, file, tmp_path):
    """`--secret-file` follows a link, which stays; what is behind it is replaced with --force alone."""
    (tmp_path / "kept").mkdir()
    file.symlink_to("kept/secret")
    out(*ADD, "--secret-file", file, "--data", data)
    first = (tmp_path / "kept/secret").read_text()
    complaint(call("client", "add", "b", *ADD[3:], "--secret-file", file, "--data", data), 2)
    out("client", "add", "b", *ADD[3:], "--secret-file", file, "--force", "--data", data)
    assert file.is_symlink()
    assert (tmp_path / "kept/secret").read_text() != first


@pytest.mark.parametrize("name", ["missing/lower/secret", "link"], ids=["ours", "of a link"])
def test_a_missing_folder_is_named(data, tmp_path, name):
    """A folder that is missing is named, be it behind a link, and no client is added."""
    (tmp_path / "link").symlink_to("missing/lower")
    file = tmp_path / name
    line = complaint(call(*ADD, "--secret-file", file, "--data", data), 2)
    missing = "missing/lower" if name.startswith("missing") else "missing"
    assert f"{file} cannot be written: make the folder {tmp_path / missing} first" in line
    assert names(data) == []


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1"])
def test_standard_output_gets_the_secret_alone(data, tmp_path, name):
    """`secret=$(... --secret-file -)` is the secret and nothing else; no file is made."""
    done = run(*ADD, "--secret-file", name, "--data", data)
    assert (done.returncode, len(done.stdout.strip())) == (0, 43)
    assert b"client_id:     billing\n" in done.stderr
    assert not (ROOT / "-").exists()


def test_json_and_the_secret_do_not_mix(data):
    """`--json` shows the secret itself, so `--secret-file -` beside it is a mistake and changes nothing."""
    assert "leave out --secret-file -" in call(*ADD, "--secret-file", "-", "--json", "--data", data).stderr
    assert names(data) == []


def test_a_log_keeps_its_lines(data, file):
    """Standard output that is appended to a file keeps what was there."""
    file.write_text("line\n")
    with file.open("ab") as log:
        command = [*COMMAND, *ADD, "--secret-file", "/dev/stdout", "--data", str(data)]
        fork_server.run(command, check=True, stdout=log, stderr=subprocess.PIPE, cwd=ROOT, env=environment())
    assert [len(line) for line in file.read_text().splitlines()] == [4, 43]


def test_a_pipe_gets_the_secret(data, file):
    """A named pipe stays one, and its reader gets the secret."""
    os.mkfifo(file)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(file.read_bytes()))
    reader.start()
    out(*ADD, "--secret-file", file, "--data", data)
    reader.join()
    assert (file.is_fifo(), [len(each) for each in got]) == (True, [44])


@pytest.mark.parametrize("closed", ["secret-file", "stdout"])
def test_a_secret_that_is_lost_adds_no_client(data, file, closed):
    """A secret that a full device cannot take registers no client, in a file or shown on standard output."""
    reading, writing = os.pipe()
    os.close(reading)
    options = ("--secret-file", "/dev/fd/0") if closed == "secret-file" else ()
    done = fork_server.run(
        [*COMMAND, *ADD, *options, "--data", str(data)],
        stdin=writing,
        stdout=writing if closed == "stdout" else subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=environment(),
        check=False,
    )
    os.close(writing)
    assert done.returncode == 2
    assert b"Broken pipe; client billing is not added" in done.stderr
    assert names(data) == []


CLOSED = b"Error: standard output is closed: open it, or name a file\n"


def test_no_standard_output_adds_no_client(data):
    """A client whose secret would be lost on a closed standard output is not added, and that is one line."""
    command = shlex.join([*COMMAND, *ADD, "--data", str(data)])
    shell = ["sh", "-c", f"exec {command} >&-"]
    done = fork_server.run(shell, stderr=subprocess.PIPE, cwd=ROOT, env=environment(), check=False)
    assert (done.returncode, done.stderr, names(data)) == (2, CLOSED, [])


@pytest.mark.parametrize("options", [(), ("--json",), ("--secret-file", "-")], ids=str)
def test_without_standard_output_no_option_adds_a_client(data, options):
    """However the secret would be shown on standard output, none is lost where that is closed."""
    command = [sys.executable, "-m", "tests.support.without_output", *ADD, *options, "--data", str(data)]
    done = fork_server.run(command, stderr=subprocess.PIPE, cwd=ROOT, env=environment(), check=False)
    assert (done.returncode, done.stderr, names(data)) == (2, CLOSED, [])


def test_a_client_without_a_secret_writes_no_file(data, file):
    """A client that authenticates by its certificate has no secret: the file stays, and that is said."""
    file.write_text("old")
    options = ("--auth", "tls_client_auth", "--subject-dn", "CN=a", "--secret-file", file)
    done = run(*ADD, *options, "--data", data)
    assert (done.returncode, file.read_text()) == (0, "old")
    assert f"note: this client has no secret, and {file} is not written\n".encode() in done.stderr


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Hold the database, so that a command waits with what it is about to change."""
    connection = sqlite3.connect(data / "macaroon_cbat.sqlite3", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def test_of_two_commands_at_once_one_writes(data, file):
    """Of two registrations into one file, the second is refused while the first is still under way."""
    out("client", "add", "before", *ADD[3:], "--data", data)
    with locked(data):
        command = [*COMMAND, *ADD, "--secret-file", str(file), "--data", str(data)]
        first = fork_server.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment())
        while not file.exists():
            assert first.poll() is None
        line = complaint(call("client", "add", "second", *ADD[3:], "--secret-file", file, "--data", data), 2)
    assert "exists already" in line
    first.communicate()
    assert first.returncode == 0
    assert (names(data), len(file.read_text())) == (["before", "billing"], 44)


def test_an_export_replaces_an_earlier_one(data, file):
    """`key export` again replaces keys of the same audience, of no other one, and nothing else."""
    out(*ADD, "--data", data)
    export = ("key", "export", "--output", file, "--data", data, "--audience")
    out(*export, API)
    out("key", "rotate", "--data", data)
    out(*export, API)
    assert len(read_key_file(file.read_bytes()).keys) == 3
    assert "exists already" in complaint_at_end(call(*export, "https://other.example"))
    assert read_key_file(file.read_bytes()).audience == API
    out(*export, "https://other.example", "--force")
    assert read_key_file(file.read_bytes()).audience == "https://other.example"
    file.write_text("a secret")
    assert "exists already" in complaint_at_end(call(*export, API))
    assert file.read_text() == "a secret"


def complaint_at_end(result) -> str:
    """Return the last line of a command with wrong settings; notes may stand before it."""
    assert result.exit_code == 2, result.output
    return result.stderr.splitlines()[-1]


@pytest.mark.parametrize("options", [(), ("--output", "-"), ("--output", "/dev/stdout")], ids=str)
def test_an_export_goes_to_standard_output(data, options):
    """`key export` prints without --output, and with `-` and what else standard output is called."""
    out(*ADD, "--data", data)
    done = run("key", "export", "--audience", API, *options, "--data", data)
    assert read_key_file(done.stdout).audience == API
    assert not (ROOT / "-").exists()


def test_a_full_device_behind_standard_output_is_one_line(data):
    """An export that standard output does not take ends with status 2 and one line."""
    out(*ADD, "--data", data)
    command = [*COMMAND, "key", "export", "--audience", API, "--data", str(data)]
    with Path("/dev/full").open("wb") as full:
        done = fork_server.run(
            command, stdout=full, stderr=subprocess.PIPE, cwd=ROOT, env=environment(), check=False
        )
    line = b"Error: standard output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, line)


def test_an_export_that_cannot_be_audited_is_not_made(data, file):
    """Without its line in the audit log there is no export, and the message does not say that there is."""
    out(*ADD, "--data", data)
    log = {"MACAROON_CBAT_AUDIT_LOG": "/dev/full"}
    done = run("key", "export", "--audience", API, "--output", file, "--data", data, **log)
    assert (done.returncode, file.exists()) == (1, False)
    assert done.stderr.startswith(b"Error: not done, because it cannot be audited: ")
    done = run("key", "export", "--audience", API, "--data", data, **log)
    assert (done.returncode, done.stdout) == (1, b"")


def test_a_change_of_nothing_is_not_said_to_be_done(data):
    """A change to what a client is already, which cannot be audited, is not called done."""
    out(*ADD, "--data", data)
    log = {"MACAROON_CBAT_AUDIT_LOG": "/dev/full"}
    done = run("client", "update", "billing", "--scope", "read", "--data", data, **log)
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: not audited, and there was nothing to change: ")
    done = run("client", "update", "billing", "--unbound", "--scope", "nothing", "--data", data, **log)
    assert done.stderr.startswith(b"Error: not done, because it cannot be audited: ")
    assert json.loads(out("client", "show", "billing", "--json", "--data", data))["scope"] == "read"


def test_a_configuration_replaces_only_its_own_kind(tmp_path):
    """`proxy-config` writes again over what it wrote, and over another configuration with --force alone."""
    file = tmp_path / "haproxy.cfg"
    generate = ("proxy-config", "haproxy", *PROXY, "--output", tmp_path)
    gateway = ("--gateway", "127.0.0.1:9191")
    out(*generate, *gateway)
    out(*generate, *gateway, "--websocket", "/chat")
    assert "/chat" in file.read_text()
    file.write_text("global\n    log /dev/log local0\n")
    (tmp_path / "gateway.lua").unlink()
    assert "haproxy.cfg exists already: name another folder" in complaint(call(*generate, *gateway), 2)
    assert (file.read_text().splitlines()[0], [*tmp_path.iterdir()]) == ("global", [file])
    out(*generate, *gateway, "--force")
    assert (file.read_text().splitlines()[0] != "global", len([*tmp_path.iterdir()])) == (True, 2)


def test_a_configuration_goes_to_standard_output(tmp_path, monkeypatch):
    """`proxy-config --output -` prints, and makes no folder of that name."""
    monkeypatch.chdir(tmp_path)
    assert "ssl_verify_client" in out("proxy-config", "nginx", *PROXY, "--output", "-")
    assert list(tmp_path.iterdir()) == []
