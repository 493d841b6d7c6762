"""Proofs that a server is the primary: who makes them, and for how long they are good."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.stores.primacy import PROVED_SECONDS, RENEWED_SECONDS, Primacy
from tests.support.waiting_threads import wait_until_in


class Server:
    """A server that proves itself, or cannot, and counts how often it is asked."""

    def __init__(self) -> None:
        """Begin as a primary."""
        self.now, self.asked, self.is_cut_off = 1000.0, 0, False
        self.breaks_by: Exception | None = None
        self.answers, self.is_asked = threading.Event(), threading.Event()
        self.answers.set()
        self.primacy = Primacy(self.prove, lambda: self.now)

    def prove(self) -> None:
        """Answer once this is let."""
        self.asked += 1
        self.is_asked.set()
        self.answers.wait()
        if self.breaks_by is not None:
            raise self.breaks_by
        if self.is_cut_off:
            raise Unavailable("it is cut off")


@pytest.fixture
def server() -> Server:
    return Server()


def test_a_proof_is_good_for_a_moment(server):
    """The first request makes a proof, the next ones go by it, and one after a while makes a new one."""
    for now in (0, 0, RENEWED_SECONDS - 1, RENEWED_SECONDS, RENEWED_SECONDS + 1):
        server.now = 1000 + now
        server.primacy.require()
    assert server.asked == 2


def test_a_proof_outlives_a_failure(server):
    """A server that fails once goes on by its last proof, until that is old."""
    server.primacy.require()
    server.is_cut_off = True
    server.now += PROVED_SECONDS - 1
    server.primacy.require()
    server.now += 1
    with pytest.raises(Unavailable, match="cut off"):
        server.primacy.require()
    server.is_cut_off = False
    server.primacy.require()
    assert server.asked == 4


def test_a_proof_is_as_old_as_its_beginning(server):
    """A proof that took long is good from the moment at which it was asked for."""
    server.answers.clear()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(server.primacy.require)
        server.is_asked.wait()
        server.now += RENEWED_SECONDS
        server.answers.set()
        first.result()
    server.primacy.require()
    assert server.asked == 2


def test_a_proof_that_took_too_long_is_none(server):
    """A proof that is too old when it comes, as after the machine was suspended, lets no request go on."""
    server.answers.clear()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(server.primacy.require)
        server.is_asked.wait()
        server.now += PROVED_SECONDS
        server.answers.set()
        with pytest.raises(Unavailable, match="older than it may be"):
            first.result()
    server.primacy.require()
    assert server.asked == 2


def test_a_proof_that_breaks_off_is_none(server):
    """A proof that ends in an unexpected error is none for those who waited for it either."""
    server.breaks_by = ValueError("a defect")
    server.answers.clear()
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(server.primacy.require) for _ in range(4)]
        wait_until_in(Primacy.require, 4)
        server.answers.set()
        errors = [type(one.exception()) for one in results]
    assert sorted(map(str, errors)) == sorted(map(str, [ValueError, *[Unavailable] * 3]))


def test_others_go_by_the_last_proof_meanwhile(server):
    """While one thread makes a proof, the others do not wait as long as the last one is good."""
    server.primacy.require()
    server.now += RENEWED_SECONDS
    server.is_asked.clear()
    server.answers.clear()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(server.primacy.require)
        server.is_asked.wait()
        server.primacy.require()
        assert not first.done()
        server.answers.set()
    assert server.asked == 2


@pytest.mark.parametrize("is_cut_off", [False, True])
def test_one_proof_is_for_all_who_wait(server, is_cut_off):
    """Threads that find no good proof wait for the one that is made, and share how it ends."""
    server.is_cut_off = is_cut_off
    server.answers.clear()
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(server.primacy.require) for _ in range(4)]
        wait_until_in(Primacy.require, 4)
        server.answers.set()
        failed = [isinstance(one.exception(), Unavailable) for one in results]
    assert failed == [is_cut_off] * 4
    assert server.asked == 1
