"""An audit file that threads and processes append to at once: whole lines, or a refusal for each."""

import errno
import fcntl
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from macaroon_cbat.audit.file import AuditFile
from tests.support.file_limits import files_limited_to
from tests.support.forks import in_children
from tests.support.tls_servers import wait_until

LINES = [f"line {number}" for number in range(8)]
LINE_BYTES = len(LINES[0]) + 1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def audit(file: Path) -> Iterator[AuditFile]:
    handler = AuditFile(file)
    yield handler
    handler.close()


@contextmanager
def gathered(audit: AuditFile, file: Path) -> Iterator[list[Future[None]]]:
    """Have one thread wait for a lock that another process could hold, and the others for that thread."""
    descriptor = os.open(file, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with ThreadPoolExecutor(len(LINES)) as pool:
        told = [pool.submit(audit.append, line) for line in LINES]
        wait_until(lambda: audit.waiting == len(LINES) - 1)
        yield told
        os.close(descriptor)


def written(told: list[Future[None]]) -> list[str]:
    """Return the lines that their threads believe to be written."""
    return sorted(line for line, each in zip(LINES, told, strict=True) if each.exception() is None)


def test_a_group_is_written_whole(audit, file):
    """Every line of a group is in the file once, whole."""
    with gathered(audit, file) as told:
        pass
    assert written(told) == LINES == sorted(file.read_text().splitlines())


@pytest.mark.parametrize("room", [0, 1, LINE_BYTES, 4 * LINE_BYTES + 3, 8 * LINE_BYTES - 1])
def test_a_disk_that_fills_up_within_a_group(audit, file, room):
    """The lines that fit are whole and told of, whatever room is left, and all others are refused."""
    with files_limited_to(room), gathered(audit, file) as told:
        pass
    lines = file.read_text().splitlines()
    assert (len(lines), sorted(lines)) == (room // LINE_BYTES, written(told))
    audit.append("later")
    assert file.read_text().splitlines() == [*lines, "later"]


def test_a_full_disk_refuses_every_line():
    """Nothing of a group can be written: each of its threads gets the error, with the name of the file."""
    handler = AuditFile(Path("/dev/full"))
    with ThreadPoolExecutor(8) as pool:
        told = [pool.submit(handler.append, line) for line in LINES]
    assert {(error.errno, error.filename) for error in map(Future.exception, told)} == {
        (errno.ENOSPC, "/dev/full")
    }
    handler.close()


def test_a_file_that_is_rotated_while_lines_wait(audit, file):
    """Lines that wait while logrotate moves the file are in the old one or the new one, none in both."""
    with gathered(audit, file) as told:
        file.rename(file.with_suffix(".1"))
    old, new = file.with_suffix(".1").read_text().splitlines(), file.read_text().splitlines()
    assert (len(old), written(told)) == (1, sorted(old + new))


def test_a_file_that_is_emptied_while_lines_wait(audit, file):
    """After copytruncate lines begin at the start of the file, without a hole."""
    audit.append("before")
    with gathered(audit, file) as told:
        os.truncate(file, 0)
    assert written(told) == sorted(file.read_text().splitlines())


def test_a_file_that_was_closed_refuses_lines(audit, file, tmp_path):
    """A thread that comes after the log was moved elsewhere is refused, and writes to no other open file."""
    closed = AuditFile(tmp_path / "closed.log")
    number = closed.fileno()
    closed.close()
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    with pytest.raises(OSError, match="it was closed"):
        closed.append("late")
    assert (other, (tmp_path / "other").read_bytes()) == (number, b"")
    os.close(other)


def test_a_file_that_cannot_be_opened_again_refuses_the_group(audit, file):
    """If the folder is gone when the file was rotated, no line is told of; once it is back, lines go on."""
    away = file.parent.with_name("away")
    with gathered(audit, file) as told:
        file.parent.rename(away)
    assert len(written(told)) == 1  # it was being written to the file that is away now
    away.rename(file.parent)
    audit.append("later")
    assert sorted(file.read_text().splitlines()) == sorted([*written(told), "later"])


def test_half_a_line_that_cannot_be_taken_back_spoils_no_other():
    """A file that can only grow keeps the half line of a full disk; the next line begins a new one."""
    descriptor = os.memfd_create("audit", os.MFD_ALLOW_SEALING)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    handler = AuditFile(Path(f"/proc/self/fd/{descriptor}"))
    with files_limited_to(4), pytest.raises(OSError, match="only 4 of 7 bytes"):
        handler.append("line 0")
    handler.append("line 1")
    handler.append("line 2")
    assert os.pread(descriptor, 99, 0) == b"line\nline 1\nline 2\n"
    handler.close()
    os.close(descriptor)


def test_a_pipe_gets_lines_one_by_one(tmp_path):
    """A pipe gets each line of a group by itself: a long group would mix with what others write."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    handler = AuditFile(pipe)
    fcntl.fcntl(handler.fileno(), fcntl.F_SETFL, os.O_DIRECT)  # a read returns what one write wrote
    with gathered(handler, pipe) as told:
        pass
    assert sorted(os.read(reader, 4096).decode() for _ in LINES) == [f"{line}\n" for line in LINES]
    assert written(told) == LINES
    handler.close()
    os.close(reader)


def test_a_child_that_is_forked_while_lines_wait(audit, file):
    """A child of a process in which a thread writes for others writes its own lines without that thread."""
    audit.append("of the parent")
    with gathered(audit, file) as told:
        file.rename(file.with_suffix(".1"))  # the child's lines go where no lock is held
        assert in_children(1, lambda _: audit.append("of the child") is None) == [0]
    assert "of the child" in file.read_text().splitlines()
    assert len(written(told)) == len(LINES)


def test_processes_and_threads_write_whole_lines(audit, file):
    """Four processes with four threads each lose no line and mix none up."""

    def fill(process: int) -> bool:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(audit.append, [f"line {number} of {process}" for number in range(40)]))
        return True

    assert in_children(4, fill) == [0] * 4
    expected = {f"line {number} of {process}" for number in range(40) for process in range(4)}
    lines = file.read_text().splitlines()
    assert (len(lines), set(lines)) == (160, expected)
