"""Locks between processes."""

import os
import subprocess
import sys

import pytest

from macaroon_cbat.files.lock import locked, locked_file, try_lock

_TAKE = """
import os, sys
from macaroon_cbat.files.lock import try_lock
print(try_lock(os.open(sys.argv[1], os.O_RDONLY)))
"""


@pytest.fixture(params=["file", "folder"])
def place(request, tmp_path):
    """Return a file or a folder, which are locked alike."""
    if request.param == "folder":
        return tmp_path
    (tmp_path / "file").touch()
    return tmp_path / "file"


def is_taken_by_another(path) -> bool:
    """Return True if another process can take the lock at this moment."""
    done = subprocess.run([sys.executable, "-c", _TAKE, path], capture_output=True, text=True, check=True)
    return done.stdout == "True\n"


def test_a_lock_keeps_other_processes_out(place):
    """No other process gets the lock while the block lasts; afterwards one does, though the file is open."""
    descriptor = os.open(place, os.O_RDONLY)
    with locked(descriptor):
        assert not is_taken_by_another(place)
    assert is_taken_by_another(place)
    os.close(descriptor)


def test_a_lock_that_is_held_is_refused_at_once(place):
    """Without waiting, a lock that is held elsewhere raises BlockingIOError, and stays where it is."""
    holder, other = os.open(place, os.O_RDONLY), os.open(place, os.O_RDONLY)
    with locked(holder):
        assert not try_lock(other)
        with pytest.raises(BlockingIOError), locked(other, waits=False):
            pytest.fail("the lock was taken twice")
        assert not is_taken_by_another(place)
    os.close(holder)
    os.close(other)


def test_a_lock_that_was_taken_lasts_until_its_descriptor_is_closed(place):
    """A lock taken without a block ends with its descriptor."""
    descriptor = os.open(place, os.O_RDONLY)
    assert try_lock(descriptor)
    assert not is_taken_by_another(place)
    os.close(descriptor)
    assert is_taken_by_another(place)


def test_an_error_in_the_block_frees_the_lock(tmp_path):
    """A block that raises leaves the lock free; the file was made for its owner alone."""
    file = tmp_path / ".lock"
    with pytest.raises(RuntimeError), locked_file(file):
        assert not is_taken_by_another(file)
        raise RuntimeError
    assert is_taken_by_another(file)
    assert file.stat().st_mode & 0o777 == 0o600
