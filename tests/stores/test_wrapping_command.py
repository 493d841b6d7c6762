"""A wrapping key that a command decrypts: run once for each content of the file, and never for a request."""

import os
import re
import shlex
from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.stores import WrappingCommand, unwrapped_key
from macaroon_cbat.stores.wrapping_command import RETRY_SECONDS
from macaroon_cbat.stores.wrapping_key import new_wrapping_key_text, wrapping_key_from_text
from tests.support.clock import Clock

FIRST, SECOND = new_wrapping_key_text(), new_wrapping_key_text()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the file with what is encrypted: here nothing is, so that a command can be `cat`."""
    return written(tmp_path / "wrapped", FIRST)


def written(file: Path, text: str) -> Path:
    file.touch(0o600)
    file.write_text(text)
    return file


@pytest.fixture
def command(tmp_path, clock):
    """Return what makes a command of a script, which notes each of its runs."""

    def make(script: str, seconds: float = 60.0) -> WrappingCommand:
        noted = f"echo >> {shlex.quote(str(tmp_path / 'runs'))}; {script}"
        environment = {"PATH": os.environ["PATH"]}
        return WrappingCommand(("sh", "-c", noted), environment, seconds=seconds, monotonic=clock)

    return make


@pytest.fixture
def runs(tmp_path):
    return lambda: (tmp_path / "runs").read_text().count("\n")


def test_a_request_does_not_run_it(file, command, runs):
    """The command is run at the start; wrapping and unwrapping keys later run it no more."""
    key = unwrapped_key(file, command("cat"))
    for name in ("k1", "k2", "k3"):
        assert key.unwrap(name, key.wrap(name, b"secret")) == b"secret"
    assert (key.secret, runs()) == (wrapping_key_from_text(FIRST, "it").secret, 1)


def test_another_file_runs_it_once(file, command, runs):
    """A file that became another one is decrypted once, and new keys are encrypted under its first key."""
    key = unwrapped_key(file, command("cat"))
    old = key.wrap("k", b"old")
    written(file, f"{SECOND} {FIRST}")
    new = [key.wrap("k", b"new") for _ in range(3)]
    assert wrapping_key_from_text(SECOND, "it").unwrap("k", new[0]) == b"new"
    assert (key.unwrap("k", new[1]), key.unwrap("k", old), runs()) == (b"new", b"old", 2)


def test_a_failure_is_remembered_for_a_while(file, command, runs, clock):
    """A command that fails later makes requests fail, is not run for each of them, and is tried again."""
    key = unwrapped_key(file, command("grep -v broken"))
    written(file, "broken")
    for _ in range(3):
        with pytest.raises(Unavailable, match="the wrapping command sh ended with status 1"):
            key.wrap("k", b"secret")
    assert runs() == 2
    clock.now += RETRY_SECONDS
    with pytest.raises(Unavailable):
        key.wrap("k", b"secret")
    assert runs() == 3
    written(file, SECOND)
    assert wrapping_key_from_text(SECOND, "it").unwrap("k", key.wrap("k", b"secret")) == b"secret"


def test_a_key_of_32_bytes_is_one(file, command):
    """The answer may be the bytes of the key themselves, as a key management service generates them."""
    key = unwrapped_key(file, command("head -c 32 /dev/zero"))
    assert key.secret == bytes(32)


@pytest.mark.parametrize(
    ("script", "seconds", "reason"),
    [
        ("exit 7", 60, r"sh ended with status 7 \(it has 60 s\): run it by hand"),
        ("sleep 600", 1, r"sh does not answer in time \(it has 1 s\)"),
        ("yes", 60, "sh answers more than 4096 bytes"),
        ("echo hello", 60, "the answer of the wrapping command about .* must be 32 bytes as base64url"),
        (":", 60, "must be 32 bytes"),
        ("echo Access denied >&2; exit 1", 60, "it said: Access denied"),
    ],
    ids=["failing", "hanging", "babbling", "no key", "silent", "explaining"],
)
def test_without_an_answer_there_is_no_key(file, command, script, seconds, reason):
    """A command without a usable answer is an error at the start, which says what happened."""
    with pytest.raises(SettingsError, match=reason):
        unwrapped_key(file, command(script, seconds))


KEY = bytes.fromhex("c76cf198eb67059da34c3ce068142e3a1a16121334233e22ed687e13abb581d5")


@pytest.mark.parametrize(
    "said",
    [
        KEY.hex(" "),
        KEY.hex(":"),
        KEY.hex(" ", 2),
        KEY.hex("\n", 8),
        "0x" + KEY.hex(",").replace(",", ", 0x"),
        "".join(f"\\x{each:02x}" for each in KEY),
        repr(KEY),
        repr(list(KEY)),
        KEY,
    ],
    ids=["pairs", "colons", "fours", "lines", "C", "escapes", "bytes", "numbers", "raw"],
)
def test_no_spelling_of_a_key_is_logged(file, command, tmp_path, said):
    """A dump of a key, as tools print while they are debugged, is left out, and the words around it stay."""
    text = said if isinstance(said, bytes) else said.encode()
    (tmp_path / "said").write_bytes(b"Refused:\n" + text + b"\nsee the log")
    with pytest.raises(SettingsError) as failed:
        unwrapped_key(file, command(f"cat {tmp_path / 'said'} >&2; exit 1"))
    _, _, told = str(failed.value).partition("it said: Refused: ")
    assert re.fullmatch(r"\W*[...]\W*see the log", told), told


def test_what_it_says_is_logged_without_keys(file, command, caplog):
    """Standard error goes to the log as one bounded line, in which nothing could be a key."""
    hidden = f"echo 'slow: {FIRST}' >&2; echo '{'word ' * 200}' >&2; printf '\\033[2J' >&2; cat"
    unwrapped_key(file, command(hidden))
    [record] = caplog.records
    line = record.getMessage()
    assert "said: slow: [...] word word" in line
    assert len(line) < 400
    assert (FIRST in line, "\033" in line) == (False, False)
    written(file, "x")
    with pytest.raises(SettingsError) as failed:
        unwrapped_key(file, command(f"echo {FIRST} >&2; exit 1"))
    assert FIRST not in str(failed.value)


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (None, 0o600, "cannot be read (No such file or directory)"),
        ("", 0o600, "has no bytes"),
        ("x" * 65_537, 0o600, "has too many bytes"),
        (FIRST, 0o644, "can be used by others (mode 0644)"),
    ],
    ids=["missing", "empty", "large", "open"],
)
def test_a_file_without_a_wrapped_key(tmp_path, command, content, mode, reason):
    """A file that is missing, empty, too large or open to others is refused before the command is run."""
    file = tmp_path / "wrapped"
    if content is not None:
        written(file, content).chmod(mode)
    with pytest.raises(SettingsError, match=re.escape(reason)):
        unwrapped_key(file, command("cat"))
    assert not (tmp_path / "runs").exists()


def test_nothing_shows_the_arguments(command):
    """The command's arguments may be secret: only the program is shown."""
    assert repr(command("cat hunter2")) == "<WrappingCommand sh>"
