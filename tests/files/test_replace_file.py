"""A file is replaced whole or not at all, and is never readable by others for a moment."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from macaroon_cbat.files import replace_file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def test_it_is_for_its_owner(file):
    """Mode 0600, whatever the umask says and whatever mode the old file had."""
    file.write_text("old")
    file.chmod(0o666)
    before = os.umask(0)
    try:
        replace_file(file, [b"new ", b"content"])
        assert (file.read_bytes(), mode(file)) == (b"new content", 0o600)
        replace_file(file, [b"for all"], 0o644)
        assert mode(file) == 0o644
    finally:
        os.umask(before)


def test_its_draft_is_for_its_owner_too(file):
    """While it is being written no other user can read it, and the old file is still there."""
    file.write_text("old")
    seen = []

    def content() -> Iterator[bytes]:
        yield b"new"
        [draft] = set(file.parent.iterdir()) - {file}
        seen.append((mode(draft), file.read_text()))

    replace_file(file, content())
    assert seen == [(0o600, "old")]
    assert list(file.parent.iterdir()) == [file]


def test_what_fails_leaves_the_old_one(file):
    """Content that fails half-way leaves the old file, and nothing beside it."""

    def content() -> Iterator[bytes]:
        yield b"half"
        raise OSError("no more")

    file.write_text("old")
    with pytest.raises(OSError, match="no more"):
        replace_file(file, content())
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]


def test_the_name_of_a_draft_cannot_be_guessed(file):
    """Each draft has another name: a link that lies in wait is never where the next one goes."""
    names = set()

    def content() -> Iterator[bytes]:
        names.update(one.name for one in file.parent.iterdir())
        yield b"secret"

    replace_file(file, content())
    replace_file(file, content())
    assert len(names - {file.name}) == 2


def test_a_reader_sees_one_or_the_other(file):
    """A reader always finds a whole file while it is replaced again and again."""
    versions = [bytes([n]) * 100_000 for n in range(2)]
    replace_file(file, [versions[0]])
    stopped, seen = threading.Event(), set[bytes]()

    def read() -> None:
        while not stopped.is_set():
            seen.add(file.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(100):
        replace_file(file, [versions[n % 2][:50_000], versions[n % 2][50_000:]])
    stopped.set()
    reader.join()
    assert seen <= set(versions)
