"""The memory of used proofs: once for each, for as long as it is good, and bounded."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.resource.used_proofs import RememberedProofs
from tests.support.forks import in_children

NOW = 1_767_222_000


def name(number: int) -> bytes:
    return number.to_bytes(16, "big") * 2


def test_a_proof_is_new_once():
    """A name is new once, until its second has passed."""
    memory = RememberedProofs()
    assert memory.add(name(1), NOW + 5, NOW)
    assert not memory.add(name(1), NOW + 5, NOW)
    assert not memory.add(name(1), NOW + 9, NOW + 5)
    assert memory.add(name(2), NOW + 5, NOW)
    assert memory.add(name(1), NOW + 11, NOW + 6)


@pytest.mark.parametrize("most", [0, -1, 10**12])
def test_a_memory_of_another_size_is_refused_at_the_start(most):
    """A number of proofs that no memory holds is a SettingsError, and no traceback at the first request."""
    with pytest.raises(SettingsError, match="remember 1 to"):
        RememberedProofs(most=most)


def test_of_two_threads_one_finds_it_new():
    """Of many threads that add one name at once, one finds it new."""
    memory = RememberedProofs()
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda number: memory.add(name(number % 50), NOW + 9, NOW), range(400)))
    assert found.count(True) == 50


def test_a_full_memory_forgets_nothing():
    """A full memory refuses new names and knows the old ones, until these have passed."""
    memory = RememberedProofs(most=2)
    assert memory.add(name(1), NOW + 1, NOW)
    assert memory.add(name(2), NOW + 9, NOW)
    with pytest.raises(Unavailable, match="memory of 2 used DPoP proofs is full"):
        memory.add(name(3), NOW + 9, NOW + 1)
    assert not memory.add(name(1), NOW + 1, NOW + 1)
    assert memory.add(name(3), NOW + 9, NOW + 2)


def test_a_clock_that_goes_back_brings_nothing_back():
    """A clock that is set back lets no proof of before be used again."""
    memory = RememberedProofs()
    assert memory.add(name(1), NOW + 90, NOW)
    assert not memory.add(name(1), NOW + 90, NOW - 50)
    assert not memory.add(name(1), NOW + 90, NOW)


def test_forked_processes_share_the_memory():
    """A proof that a forked child has seen used is used for its parent, and the other way round."""
    memory = RememberedProofs().prepare()
    assert memory.add(name(1), NOW + 9, NOW)
    seen = in_children(
        1, lambda _: not memory.add(name(1), NOW + 9, NOW) and memory.add(name(2), NOW + 9, NOW)
    )
    assert seen == [0]
    assert not memory.add(name(2), NOW + 9, NOW)


def test_of_several_processes_one_finds_it_new():
    """Of several processes that add the same names at once, one finds each new."""
    memory = RememberedProofs().prepare()
    reading, writing = os.pipe()

    def count(_number: int) -> int:
        found = sum(memory.add(name(number), NOW + 9, NOW) for number in range(100))
        return os.write(writing, bytes([found]))

    assert in_children(4, count) == [0, 0, 0, 0]
    assert sum(os.read(reading, 4)) == 100
    os.close(reading)
    os.close(writing)


def test_a_daemon_that_closes_its_files_cannot_tell():
    """Once every file of a process was closed a proof is 503, also where another file has the number then."""
    memory = RememberedProofs().prepare()

    def is_unavailable(_number: int) -> bool:
        os.closerange(3, 1 << 16)
        with pytest.raises(Unavailable, match="closed, as daemons close"):
            memory.add(name(1), NOW + 9, NOW)
        with suppress(OSError):  # as many as a process may have
            for _ in range(1000):
                os.pipe()
        with pytest.raises(Unavailable, match="closed, as daemons close"):
            memory.add(name(1), NOW + 9, NOW)
        return True

    assert in_children(1, is_unavailable) == [0]
    assert memory.add(name(1), NOW + 9, NOW)


def test_a_large_memory_holds_what_it_says(monkeypatch: pytest.MonkeyPatch):
    """A table that is half full finds a place for each name, and each is used then."""
    # The secret of a table scatters its names: by one in 100,000 a name finds 64 neighbours and no place.
    monkeypatch.setattr(os, "urandom", bytes)
    memory = RememberedProofs(most=5000)
    assert all(memory.add(name(number), NOW + 9, NOW) for number in range(5000))
    assert not any(memory.add(name(number), NOW + 9, NOW) for number in range(5000))
