"""The memory of used proofs: once for each, for as long as it is good, and bounded."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.resource.used_proofs import RememberedProofs

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
