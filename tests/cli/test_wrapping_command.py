"""`MACAROON_CBAT_WRAPPING_COMMAND`: a real tool decrypts the wrapping key, and a failing one stops all."""

import subprocess

import pytest

from tests.support.command_line import call, complaint, members, out, run

KEK = ("-pbkdf2", "-iter", "1", "-pass", "env:KEK")
"""A key-encryption key that openssl finds in the environment; an HSM has it inside."""


def openssl(*words: str, given: bytes) -> bytes:
    return subprocess.run(
        ["openssl", *words],
        input=given,
        capture_output=True,
        check=True,
        env={"KEK": "k", "PATH": "/usr/bin:/bin"},
    ).stdout


@pytest.fixture
def wrapped(data, tmp_path, monkeypatch):
    """Encrypt the wrapping key of the data folder, and let openssl decrypt it; return the file."""
    file = tmp_path / "wrapping.key.enc"
    plain = data / "wrapping.key"
    encrypted(file, plain.read_bytes())
    plain.unlink()
    monkeypatch.setenv("KEK", "k")
    monkeypatch.setenv("MACAROON_CBAT_WRAPPING_KEY_FILE", str(file))
    monkeypatch.setenv("MACAROON_CBAT_WRAPPING_COMMAND", f"openssl enc -d -aes-256-cbc {' '.join(KEK)}")
    monkeypatch.setenv("MACAROON_CBAT_WRAPPING_ENVIRONMENT", "KEK")
    return file


def encrypted(file, plain: bytes) -> None:
    file.touch(0o600)
    file.write_bytes(openssl("enc", "-aes-256-cbc", *KEK, given=plain))


def test_openssl_decrypts_the_key(wrapped, data):
    """With the command, commands work on the database as with the key itself, which is nowhere on disk."""
    assert [one["state"] for one in members("key", "list", "--data", data)] == ["current", "next"]
    exported = call("key", "export", "--audience", "https://api.example", "--data", data)
    assert exported.exit_code == 0, exported.stderr


def test_the_key_is_replaced_by_rewrapping(wrapped, data):
    """A new key before the present one goes into the file, and after key rewrap the new one is enough."""
    both = out("key", "generate-wrapping", "--with-present", "--data", data)
    new, old = both.split()
    assert len(new) == len(old) == 43
    encrypted(wrapped, both.encode())
    assert out("key", "rewrap", "--data", data).startswith("2 keys are encrypted anew")
    encrypted(wrapped, new.encode())
    exported = out("key", "export", "--audience", "https://api.example", "--data", data)
    encrypted(wrapped, old.encode())
    line = complaint(call("key", "export", "--audience", "https://api.example", "--data", data), 2)
    assert "it was stored under another wrapping key" in line
    assert exported


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"KEK": "wrong"}, "the wrapping command openssl ended with status 1"),
        ({"WRAPPING_COMMAND": "/nonexistent/kms"}, "cannot be run (No such file or directory)"),
        (
            {"WRAPPING_COMMAND": "sh -c 'sleep 600'", "WRAPPING_SECONDS": "1"},
            "does not answer in time (it has 1 s)",
        ),
        ({"WRAPPING_COMMAND": "yes"}, "answers more than"),
        ({"WRAPPING_COMMAND": "true"}, "must be 32 bytes"),
        ({"WRAPPING_COMMAND": "sh -c 'x"}, "WRAPPING_COMMAND is no command (No closing quotation)"),
        ({"WRAPPING_COMMAND": " "}, "names no program"),
        ({"WRAPPING_SECONDS": "0"}, "WRAPPING_SECONDS must be a number of seconds from 1 to 60"),
        ({"WRAPPING_ENVIRONMENT": "MACAROON_CBAT_DATABASE_URL"}, "has no use for"),
        ({"WRAPPING_ENVIRONMENT": "LANG"}, "the wrapping command openssl ended with status 1"),
        ({"WRAPPING_KEY_FILE": None}, "WRAPPING_COMMAND is set without MACAROON_CBAT_WRAPPING_KEY_FILE"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:30],
)
def test_without_the_key_no_command_works(wrapped, data, variables, reason):
    """A tool that fails, hangs, babbles or is missing stops every command with one line, which says why."""
    given = {name if name == "KEK" else f"MACAROON_CBAT_{name}": value for name, value in variables.items()}
    line = complaint(call("client", "list", "--data", data, **given), 2)
    assert reason in line, line


def test_serve_does_not_begin_without_its_key(wrapped, data):
    """The service does not start on a key that its tool does not decrypt."""
    done = run(
        *("serve", "--data", data, "--port", "1"),
        MACAROON_CBAT_WRAPPING_KEY_FILE=str(wrapped),
        MACAROON_CBAT_WRAPPING_COMMAND="sh -c 'echo the vault is sealed >&2; exit 2'",
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"ended with status 2" in done.stderr
    assert b"it said: the vault is sealed" in done.stderr
