"""Audit lines of the command line: one for each change, with the operator as the actor."""

import json
import re
from pathlib import Path

import pytest

from tests.support.command_line import API, run, serving
from tests.support.ports import free_port

THUMBPRINT = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def command(data, file):
    """Return how to run a command whose audit log is the file."""

    def run_one(*arguments, log: str = str(file)):
        return run(*arguments, "--data", data, MACAROON_CBAT_AUDIT_LOG=log)

    return run_one


@pytest.fixture
def add(command):
    def add_one(*options, **variables):
        return command(
            "client", "add", "billing", "--scope", "read", "--audience", API, *options, **variables
        )

    return add_one


def done(process) -> str:
    assert process.returncode == 0, process.stderr
    return process.stdout.decode()


def last(file: Path, count: int) -> dict[str, object]:
    """Return the newest line, there being so many; its time must be now's."""
    lines = file.read_text().splitlines()
    assert len(lines) == count
    found = json.loads(lines[-1])
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", found.pop("at"))
    assert found.pop("who") == "operator"
    return dict(found)


def test_clients(add, command, file):
    """Adding, changing and removing a client is one line each, without its secret; listing is none."""
    secret = re.search(r"client_secret: (\S+)", done(add()))
    assert last(file, 1) == {
        "event": "client.added",
        "client_id": "billing",
        "audience": API,
        "scope": "read",
    }
    done(command("client", "list"))
    done(command("client", "update", "billing", "--serves", API))
    rights = {"client_id": "billing", "audience": API, "scope": "read", "serves": API}
    assert last(file, 2) == {"event": "client.changed", **rights}
    done(command("client", "update", "billing", "--serves-nothing"))
    rights.pop("serves")
    assert last(file, 3) == {"event": "client.changed", **rights}
    done(command("client", "remove", "billing"))
    assert last(file, 4) == {"event": "client.removed", "client_id": "billing"}
    assert secret is not None
    assert secret[1] not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_keys(command, file):
    """Rotating, retiring, exporting and rewrapping are one line each, without a key."""
    old = next(
        k["kid"] for k in json.loads(done(command("key", "list", "--json"))) if k["state"] == "current"
    )
    new = json.loads(done(command("key", "rotate", "--json")))["kid"]
    assert last(file, 1) == {"event": "key.rotated", "kid": new}
    done(command("key", "retire", old))
    assert last(file, 2) == {"event": "key.retired", "kid": old}
    exported = json.loads(done(command("key", "export", "--audience", API)))
    assert last(file, 3) == {"event": "key.exported", "audience": API}
    done(command("key", "rewrap"))
    assert last(file, 4) == {"event": "key.rewrapped"}
    assert not any(key["k"] in file.read_text() for key in exported["keys"])


@pytest.mark.parametrize(
    ("kind", "value", "member"),
    [
        ("token", "x" * 22, "token_id"),
        ("client", "billing", "client_id"),
        ("subject", 'a"b', "subject"),
        ("family", "FFECAwQFBgcICQoLDA0ODw", "family"),
        ("certificate", THUMBPRINT, "certificate"),
    ],
)
def test_revocations(command, file, kind, value, member):
    """A revocation is one line that names what is revoked."""
    done(command("revoke", "--force", kind, value))
    assert last(file, 1) == {"event": "revoked", member: value}


def test_a_revoked_key(command, file):
    """Revoking a key is one line that names it."""
    kid = next(
        k["kid"] for k in json.loads(done(command("key", "list", "--json"))) if k["state"] == "current"
    )
    done(command("key", "rotate"))
    done(command("revoke", "key", kid))
    assert last(file, 2) == {"event": "revoked", "kid": kid}


def test_what_changed_nothing_is_no_line(command, file):
    """A command that is refused changes nothing and leaves no line."""
    for arguments in (
        ("client", "remove", "unknown"),
        ("key", "retire", "nokey"),
        ("revoke", "certificate", "x"),
    ):
        assert command(*arguments).returncode != 0
    assert file.read_text() == ""


def test_standard_error_and_none(add, command):
    """The audit log `-` is standard error; without one a command says nothing more than it did."""
    process = add(log="-")
    [line] = [line for line in process.stderr.decode().splitlines() if line.startswith("{")]
    assert json.loads(line)["event"] == "client.added"


def test_a_full_disk_adds_no_client(add, command):
    """With an audit log that cannot be written no client is added: one line, status 1."""
    process = add(log="/dev/full")
    assert (process.returncode, process.stdout) == (1, b"")
    [line] = process.stderr.decode().splitlines()
    assert "not done, because it cannot be audited" in line
    assert "the audit log /dev/full cannot be written (No space left on device): make room" in line
    assert "billing" not in done(command("client", "list"))


def test_a_full_disk_gives_no_right(add, command):
    """A right that cannot be audited is not given; one that is taken away is, and not acknowledged."""
    done(add())
    full = {"log": "/dev/full"}

    def serves():
        return json.loads(done(command("client", "show", "billing", "--json"))).get("serves", [])

    assert command("client", "update", "billing", "--serves", API, **full).returncode == 1
    assert serves() == []
    done(command("client", "update", "billing", "--serves", API))
    assert command("client", "update", "billing", "--serves-nothing", **full).returncode == 1
    assert serves() == []


def test_a_full_disk_acknowledges_nothing(command):
    """A rotation that could not be audited fails, and says that it was done all the same."""
    process = command("key", "rotate", log="/dev/full")
    assert (process.returncode, process.stdout) == (1, b"")
    [line] = process.stderr.decode().splitlines()
    assert "done, but not audited" in line


def test_an_audit_log_that_cannot_be_opened_is_one_line(command, add):
    """A file that cannot be opened stops the command before it does anything: one line, status 2."""
    process = add(log="/nowhere/audit.log")
    assert (process.returncode, process.stdout) == (2, b"")
    [line] = process.stderr.decode().splitlines()
    assert "MACAROON_CBAT_AUDIT_LOG" in line
    assert "billing" not in done(command("client", "list"))


def test_workers_and_commands_share_one_file(data, file, add):
    """Two workers and a command append to one file, each line whole."""
    secret = re.search(r"client_secret: (\S+)", done(add()))
    assert secret is not None
    with serving(data, MACAROON_CBAT_AUDIT_LOG=str(file)) as service:
        mint = ("token", "mint", *service.access, "--client-id", "billing", "--client-secret", secret[1])
        tokens = [done(run(*mint)).strip() for _ in range(3)]
        done(run("key", "rotate", "--data", data, MACAROON_CBAT_AUDIT_LOG=str(file)))
    kinds = [json.loads(line)["event"] for line in file.read_text().splitlines()]
    assert kinds == ["client.added", *["token.minted"] * 3, "key.rotated"]
    assert not any(token[100:140] in file.read_text() for token in tokens)
    assert "minted" not in (data.parent / "data.log").read_text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_without_its_audit_log_does_not_start(command, workers):
    """A file that cannot be opened stops `serve` in one line, with any number of workers."""
    process = command("serve", "--port", str(free_port()), "--workers", workers, log="/nowhere/audit.log")
    assert (process.returncode, process.stdout) == (2, b"")
    [line] = process.stderr.decode().splitlines()
    assert "MACAROON_CBAT_AUDIT_LOG" in line


@pytest.mark.parametrize("name", ["operator", "policy"])
def test_no_client_has_the_name_of_another_actor(command, name, file):
    """No client is registered under a name that the audit log uses for another actor."""
    process = command("client", "add", name, "--scope", "read")
    assert process.returncode == 1
    assert "choose another name" in process.stderr.decode()
    assert file.read_text() == ""
