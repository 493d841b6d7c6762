"""The conveniences of each command: files for tokens, clocks, passphrases, completion."""

import codecs
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from macaroon_cbat.cli import main
from macaroon_cbat.files import replace_file
from tests.support.command_line import API, call, complaint, environment, members, out, token


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (("token", "mnt"), "'mnt' is no command: did you mean mint?"),
        (("key", "exprt"), "'exprt' is no command: did you mean export?"),
        (
            ("client", "xyzzy"),
            "'xyzzy' is no command: the commands are add, apply, import, invite, list, remove, ",
        ),
        (("revocation", "lst"), "'lst' is no command: did you mean list?"),
    ],
)
def test_an_unknown_command_of_a_group_names_the_nearest(words, remedy):
    """A slip in the second word is answered as one in the first."""
    result = call(*words)
    assert (result.exit_code, remedy in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("servce", "'servce' is no command: did you mean serve?"),
        ("clients", "'clients' is no command: did you mean client?"),
        (
            "xyzzy",
            "'xyzzy' is no command: the commands are backup, client, database, deploy-config,",
        ),
        ("\x1b[2J", "'\\\\x1b[2J' is no command"),
    ],
)
def test_an_unknown_command_names_the_nearest(word, remedy):
    """A slip in a command's name is wrong usage, and the command that was meant is named."""
    result = call(word)
    assert (result.exit_code, remedy in result.stderr) == (2, True), result.stderr


def test_a_wrong_scope_is_said_in_words(data):
    """A scope that is none is refused with its right form, and no regular expression."""
    line = complaint(call("client", "add", "x", "--scope", "a  b", "--data", data, "--init"), 1)
    assert line == (
        "Error: scope is malformed: write words of visible ASCII without quotes, "
        "with one space between two (RFC 6749 3.3)"
    )


def test_a_token_id_that_begins_like_help_is_revoked(served):
    """A value that begins with -h is a value: asking for help in its place would leave the token good."""
    value = "-h" + "A" * 20
    assert f"revoked token {value}" in out("revoke", "token", value, "--data", served.data)
    assert "no client is named '-h'" in complaint(
        call("revoke", "client", "--data", served.data, "--", "-h"), 1
    )


@pytest.fixture
def token_file(tmp_path):
    file = tmp_path / "token"
    file.write_text(token() + "\n")
    return file


@pytest.mark.parametrize("content", [b"", b"\n"])
@pytest.mark.parametrize("command", ["inspect", "attenuate --scope read", "verify"])
def test_a_file_without_a_token_is_named(tmp_path, keys, command, content):
    """A file that is empty, or is not there, is wrong usage and named."""
    (tmp_path / "none").write_bytes(content)
    words = ["token", *command.split(), tmp_path / "none"]
    if command == "verify":
        words += ["--keys", keys, "--audience", API]
    result = call(*words)
    assert (result.exit_code, f"there is no token in {tmp_path}/none" in result.stderr) == (2, True)
    (tmp_path / "none").unlink()
    assert "cannot be read" in complaint(call(*words), 2)


def test_a_token_is_read_from_a_file(token_file, keys):
    """Each command that reads a token reads FILE, `-` and a pipe alike, a byte order mark apart."""
    text = token_file.read_text()
    assert out("token", "inspect", token_file) == out("token", "inspect", stdin=text)
    assert out("token", "inspect", "-", stdin=text) == out("token", "inspect", stdin=text)
    assert out("token", "attenuate", "--scope", "read", token_file) == out(
        "token", "attenuate", "--scope", "read", stdin=text
    )
    assert out("token", "verify", token_file, "--keys", keys, "--audience", API, "--allow-unbound")
    token_file.write_bytes(codecs.BOM_UTF8 + text.encode().replace(b"\n", b"\r\n"))
    assert out("token", "inspect", token_file) == out("token", "inspect", stdin=text)


@pytest.mark.parametrize(
    ("late", "options", "status"),
    [
        (-10, (), 0),
        (-29, (), 0),
        (-40, (), 1),
        (-40, ("--clock-skew", "60"), 0),
        (-10, ("--clock-skew", "0"), 1),
        (-10, ("--clock-skew", "301"), 2),
        (-10, ("--clock-skew", "-1"), 2),
    ],
)
def test_clocks_may_differ_as_in_the_guard(keys, monkeypatch, late, options, status):
    """A token that expired a few seconds ago is judged as the guard judges it, with 30 seconds by default."""
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    result = call("token", "verify", "--keys", keys, "--audience", API, "--allow-unbound", *options,
                  stdin=token(exp=late))  # fmt: skip
    assert result.exit_code == status, result.output


def test_moments_are_dates(keys):
    """An accepted token's times are dates for people, and numbers for scripts."""
    verify = ("token", "verify", "--keys", keys, "--audience", API, "--allow-unbound")
    [line] = [line for line in out(*verify, stdin=token()).splitlines() if "expires_at" in line]
    assert line.split()[1].startswith("20") and line.split()[2].endswith("Z,")
    assert isinstance(members(*verify, stdin=token())["principal"]["expires_at"], int)


@pytest.fixture
def encrypted(tmp_path, identity):
    """Return the options that name an encrypted key, and the file of its passphrase."""
    pem = identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass"))
    replace_file(tmp_path / "enc.key", [pem])
    (tmp_path / "enc.pem").write_bytes(identity.pem)
    replace_file(tmp_path / "pass", [b"pass\n"])
    return ("--cert", tmp_path / "enc.pem", "--key", tmp_path / "enc.key"), tmp_path / "pass"


def test_a_key_may_have_a_passphrase(served, encrypted, tmp_path):
    """An encrypted key is used with the passphrase in a private file or on standard input."""
    pair, passphrase = encrypted
    secret = tmp_path / "holder.secret"
    out("client", "add", f"enc-{os.getpid()}", "--scope", "read", "--audience", API, "--secret-file", secret,
        "--data", served.data)  # fmt: skip
    mint = ("token", "mint", *served.access, "--client-id", f"enc-{os.getpid()}",
            "--client-secret-file", secret, *pair)  # fmt: skip
    assert "give its passphrase (--key-passphrase-file" in complaint(call(*mint), 2)
    assert out(*mint, "--key-passphrase-file", passphrase)
    assert out(*mint, "--key-passphrase-file", "-", stdin="pass\r\n")
    line = complaint(call(*mint, "--key-passphrase-file", "-", stdin="wrong"), 2)
    assert "the passphrase does not fit the encrypted key in " in line


def test_a_passphrase_without_a_certificate_is_wrong_usage(encrypted):
    """A passphrase that no key uses is wrong usage."""
    _, passphrase = encrypted
    issuer = ("--issuer", "https://localhost:1", "--client-id", "x")
    for words in (("token", "mint", *issuer), ("key", "list", *issuer)):
        result = call(*words, "--key-passphrase-file", passphrase)
        assert (result.exit_code, "go with --cert" in result.stderr) == (2, True)


def test_a_secret_file_that_is_none_is_named(served, tmp_path):
    """A secret in UTF-16, as PowerShell writes it, is refused by name before any request."""
    file = tmp_path / "utf16.secret"
    replace_file(file, ["s3cret".encode("utf-16")])
    line = complaint(
        call("token", "mint", *served.access, "--client-id", "x", "--client-secret-file", file), 2
    )
    assert (
        line
        == f"Error: the secret file {file} is UTF-16: save it as UTF-8 (PowerShell: Out-File -Encoding utf8)"
    )


SCRIPT = Path(sys.executable).with_name("macaroon-cbat")


def completing(**variables: str) -> str:
    """Return what the command without arguments prints with these variables, in this process."""
    done = CliRunner().invoke(main, [], env=variables, prog_name="macaroon-cbat")
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_installed(shell):
    """The variable that the guide names prints what the shell loads."""
    printed = completing(_MACAROON_CBAT_COMPLETE=f"{shell}_source")
    assert f"_MACAROON_CBAT_COMPLETE={shell}_complete" in printed


def test_the_script_completes():
    """The installed script is called as the variable says."""
    asked = environment(_MACAROON_CBAT_COMPLETE="bash_source")
    printed = subprocess.run([SCRIPT], env=asked, capture_output=True, text=True, check=True)
    assert printed.stdout.rstrip() == completing(_MACAROON_CBAT_COMPLETE="bash_source").rstrip()


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("macaroon-cbat to", "token"),
        ("macaroon-cbat token att", "attenuate"),
        ("macaroon-cbat revoke ke", "key"),
    ],
)
def test_words_are_completed(words, completed):
    """The shell is told the commands and the kinds that begin like the last word."""
    printed = completing(
        _MACAROON_CBAT_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
    )
    assert [line.split(",")[1] for line in printed.splitlines()] == [completed]
