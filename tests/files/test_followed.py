"""Files that are followed: read again after a change, and tried again after a failure."""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.followed import RETRY_SECONDS, Followed, is_settled, stamp_of
from tests.support.forks import in_children
from tests.support.tls_servers import wait_until

log = logging.getLogger("macaroon_cbat.tests")


class Numbers:
    """A file with a number, a reader that refuses other text, and a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "number"
        self.file.write_text("1")
        self.now = 0.0
        self.reads = 0
        self.fails = False
        self.before_reading: Callable[[], object] = lambda: None
        self.followed = Followed("number", [self.file], self._read, log, lambda: self.now)

    def _read(self) -> int:
        self.reads += 1
        self.before_reading()
        try:
            if self.fails:
                raise OSError(24, "Too many open files")
            return int(self.file.read_text())
        except (OSError, ValueError) as error:
            raise SettingsError(f"{error}") from error

    def replace(self, text: str) -> None:
        """Let another file take its name."""
        draft = self.file.with_suffix(".new")
        draft.write_text(text)
        draft.replace(self.file)


@pytest.fixture
def numbers(tmp_path: Path) -> Numbers:
    return Numbers(tmp_path)


def settle(numbers: Numbers) -> None:
    """Wait until the last change is a second ago by the clock of the file system."""
    wait_until(lambda: is_settled(stamp_of([numbers.file]), ()))


def test_a_change_of_long_ago_counts_at_the_first_look(numbers: Numbers) -> None:
    """A process that looks seldom must not go by what an operator has replaced long before."""
    numbers.replace("2")
    settle(numbers)
    numbers.now = 3600
    assert numbers.followed.current() == 2


def test_a_file_that_is_being_written_is_left_alone(
    numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that has just changed is not read, though it could be, unless SIGHUP says so."""
    numbers.file.write_text("22")
    [(changed, _, _)] = stamp_of([numbers.file])
    monkeypatch.setattr("time.time_ns", lambda: changed + 10**8)
    assert not numbers.followed.look()
    assert numbers.followed.value == 1
    assert numbers.followed.look(anyway=True)
    assert numbers.followed.value == 22


def test_a_clock_ahead_is_no_obstacle() -> None:
    """A file with a time ahead of our clock counts as left alone once it is the same at two looks."""
    ahead = ((2**62, 1, 1),)
    assert not is_settled(ahead, ())
    assert is_settled(ahead, ahead)


def test_nothing_is_read_without_a_change(numbers: Numbers) -> None:
    """Looking costs one stat call a second: unchanged files are not read, nor looked at in between."""
    for second in range(1, 100):
        numbers.now = second
        assert numbers.followed.current() == 1
    assert numbers.reads == 1
    numbers.replace("2")
    settle(numbers)
    numbers.now += 0.5
    assert numbers.followed.current() == 1


def test_a_failure_of_the_process_is_overcome(numbers: Numbers, caplog: pytest.LogCaptureFixture) -> None:
    """Files that could not be read for want of descriptors are tried again, changed or not; one warning."""
    numbers.fails = True
    numbers.replace("2")
    settle(numbers)
    for second in range(1, 25):
        numbers.now = second
        assert numbers.followed.current() == 1
    assert numbers.reads == 4
    [warning] = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert "Too many open files" in warning.getMessage()
    numbers.fails = False
    numbers.now += RETRY_SECONDS
    assert numbers.followed.current() == 2


def test_each_new_reason_is_said(numbers: Numbers, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is no good for another reason is another warning; the same reason is none."""
    for text in ("x", "x", "y", "y"):
        numbers.replace(text)
        numbers.followed.look(anyway=True)
    assert len([one for one in caplog.records if one.levelno == logging.WARNING]) == 2


def test_a_quiet_process_speaks_when_it_lasts(numbers: Numbers, caplog: pytest.LogCaptureFixture) -> None:
    """One of several processes leaves the warning to another, but says at last what it goes on with."""
    caplog.set_level(logging.INFO)
    numbers.replace("x")
    numbers.followed.is_quiet = True
    numbers.followed.look(anyway=True)
    assert caplog.records == []
    numbers.now += RETRY_SECONDS
    numbers.followed.look()
    [record] = caplog.records
    assert record.levelno == logging.INFO


@pytest.mark.parametrize("look", [lambda one: one.current(), lambda one: one.look()], ids=["current", "look"])
def test_no_thread_waits_for_another_to_read(
    numbers: Numbers, look: Callable[[Followed[int]], object]
) -> None:
    """While one thread reads from a disk that hangs, others go on with the value at hand."""
    is_reading, disk_answers = threading.Event(), threading.Event()

    def hang() -> None:
        is_reading.set()
        disk_answers.wait()

    numbers.before_reading = hang
    hanging = threading.Thread(target=numbers.followed.look, kwargs={"anyway": True})
    hanging.start()
    try:
        assert is_reading.wait(60)
        numbers.now = 10
        done = threading.Thread(target=look, args=(numbers.followed,), daemon=True)
        done.start()
        done.join(60)
        assert not done.is_alive()
        assert numbers.followed.value == 1
    finally:
        disk_answers.set()
        hanging.join()


def test_a_forked_child_follows(numbers: Numbers) -> None:
    """A child that was forked while its parent read the file reads it, too, and waits for no lock."""
    statuses: list[int] = []

    def fork() -> None:
        numbers.before_reading = lambda: None
        numbers.now = 20
        statuses.extend(in_children(2, lambda _: numbers.followed.current() == 2))

    numbers.before_reading = fork
    numbers.replace("2")
    settle(numbers)
    numbers.now = 10
    assert numbers.followed.current() == 2
    assert statuses == [0, 0]


def test_a_pipe_is_read_once(numbers: Numbers, caplog: pytest.LogCaptureFixture) -> None:
    """A shell's `<(command)` would block a second reader for ever: the first value stays."""
    numbers.file.unlink()
    os.mkfifo(numbers.file)
    for _ in range(3):
        assert not numbers.followed.look(anyway=True)
    assert numbers.followed.value == 1
    assert caplog.text.count("cannot be read again: name a file") == 1


def test_a_name_that_cannot_be_looked_up_changes_nothing(
    numbers: Numbers, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of the system about the name, as where a folder was closed, is a warning and no failure."""
    numbers.file.unlink()
    numbers.file.symlink_to("x" * 300)
    assert not numbers.followed.look(anyway=True)
    assert numbers.followed.current() == 1
    assert "File name too long" in caplog.text


class Chain:
    """A file that names another one, whose content is the value."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, 0.0
        self.write("list", "first")
        self.write("first", "1")
        self.write("second", "2")
        self.followed = Followed(
            "chain", [folder / "list"], self._read, log, lambda: self.now, named=lambda found: [found[0]]
        )

    def write(self, name: str, text: str) -> None:
        """Write a file of the chain."""
        (self.folder / name).write_text(text)

    def look_twice(self) -> str:
        """Return the value after a look that finds a change, and one that finds it settled."""
        self.followed.look()
        self.followed.look()
        return self.followed.value[1]

    def _read(self) -> tuple[Path, str]:
        file = self.folder / (self.folder / "list").read_text()
        return file, file.read_text()


def test_a_file_that_the_value_names_is_followed(tmp_path: Path) -> None:
    """A change of a file that the first file names is a change of the value."""
    chain = Chain(tmp_path)
    chain.write("first", "one")
    assert chain.look_twice() == "one"


def test_a_file_that_is_named_later_is_followed_from_then_on(tmp_path: Path) -> None:
    """A value that names another file follows that one, and the one before no more."""
    chain = Chain(tmp_path)
    chain.write("list", "second")
    assert chain.look_twice() == "2"
    chain.write("second", "two")
    assert chain.look_twice() == "two"
    chain.write("first", "one")
    assert not chain.followed.look()
    assert not chain.followed.look()
