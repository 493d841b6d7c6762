"""Commands that answer a secret: bounded in time and length, and nothing of them is left."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from macaroon_cbat.files.commands import CommandFailed, answer_of

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def ask(script: str, given: bytes = b"wrapped", *, seconds: float = 60, most: int = 1000):
    """Return the answer of a shell script."""
    return answer_of(["sh", "-c", script], given, ENVIRONMENT, seconds=seconds, most=most)


def test_the_answer_is_whole():
    """The command reads its whole input, and its output and errors are returned apart."""
    big = os.urandom(300_000)
    answered = ask("cat; echo said >&2", big, most=len(big))
    assert (answered.output, answered.said) == (big, b"said\n")


def test_no_shell_reads_the_words():
    """Words are arguments as they stand: no shell expands or splits them."""
    answered = answer_of(["printf", "%s", "$HOME;a b"], b"", ENVIRONMENT, seconds=60, most=100)
    assert answered.output == b"$HOME;a b"


def test_the_environment_is_what_is_given(monkeypatch):
    """The command sees the variables that it is given, and none of the process's own."""
    monkeypatch.setenv("MACAROON_CBAT_WRAPPING_KEY", "secret")
    answered = answer_of(
        [sys.executable, "-c", "import os; print(sorted(os.environ))"], b"", {"A": "1"}, seconds=60, most=1000
    )
    assert "secret" not in answered.output.decode()
    assert "MACAROON_CBAT" not in answered.output.decode()


@pytest.mark.parametrize("script", ["exec <&-; echo key", "echo key"], ids=["closed", "unread"])
def test_an_input_that_is_not_read_is_no_failure(script):
    """A command that does not read its input may answer all the same."""
    assert ask(script, b"x" * 300_000).output == b"key\n"


@pytest.mark.parametrize(
    ("script", "bounds", "reason"),
    [
        ("echo wrong key >&2; exit 3", {}, "ended with status 3"),
        ("kill -9 $$", {}, "was ended by signal 9"),
        ("sleep 600", {"seconds": 0.3}, "does not answer in time"),
        ("sleep 600 & wait", {"seconds": 0.3}, "does not answer in time"),
        ("exec >&- 2>&- <&-; sleep 600", {"seconds": 0.3}, "does not answer in time"),
        ("trap '' TERM INT HUP; while :; do sleep 1; done", {"seconds": 0.3}, "does not answer in time"),
        ("yes", {}, "answers more than 1000 bytes"),
        ("yes >&2", {"seconds": 0.5}, "does not answer in time"),
    ],
    ids=[
        "fails",
        "killed",
        "hangs",
        "child hangs",
        "closes and hangs",
        "ignores signals",
        "babbles",
        "babbles errors",
    ],
)
def test_a_command_without_an_answer_fails(script, bounds, reason):
    """A command that fails, hangs or babbles is a failure with its reason, and what it said is kept apart."""
    with pytest.raises(CommandFailed, match=reason) as failed:
        ask(script, **bounds)
    assert len(failed.value.said) <= 4096


def test_a_child_that_writes_on_is_not_waited_for():
    """The answer is what was written when the command ended, whatever a child of it would write later."""
    assert ask("(sleep 600; echo more) & echo key").output == b"key\n"


@pytest.mark.parametrize(
    ("script", "seconds"),
    [("sleep 600 & echo $! > {}; echo key", 60), ("sleep 600 & echo $! > {}; wait", 0.5)],
    ids=["answered", "killed"],
)
def test_nothing_of_a_command_is_left(tmp_path, script, seconds):
    """The children of a command end with it, whether it answered or was killed."""
    file = tmp_path / "pid"
    with suppress(CommandFailed):
        ask(script.format(file), seconds=seconds)
    assert is_gone(int(file.read_text()))


def is_gone(pid: int) -> bool:
    """Return True once no process, or only one that its new parent has not reaped, has this number."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["/nonexistent/unwrap"], "No such file"),
        (["/"], "Permission denied"),
        (["a\0b"], "embedded null"),
    ],
    ids=["missing", "folder", "NUL"],
)
def test_a_program_that_cannot_be_run(words, reason):
    """A program that is missing or none is a failure that says so."""
    with pytest.raises(CommandFailed, match=f"cannot be run .*{reason}"):
        answer_of(words, b"", ENVIRONMENT, seconds=60, most=100)
