"""The threads that wait for other servers, as an attacker meets them who would have all of them wait."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from macaroon_cbat.service.waiting_threads import WaitingThreads


def may_wait(stack, threads):
    return stack.enter_context(threads.place())


def test_so_many_wait_and_no_more():
    """A thread beyond the bound does not wait; it may once another one is done, also if that has failed."""
    threads = WaitingThreads(2)
    with ExitStack() as stack:
        assert [may_wait(stack, threads) for _ in range(3)] == [True, True, False]
    with pytest.raises(ZeroDivisionError), threads.place():
        1 / 0  # noqa: B018
    with ExitStack() as stack:
        assert [may_wait(stack, threads) for _ in range(3)] == [True, True, False]


def test_a_part_leaves_the_rest_to_others():
    """A part that an attacker can fill leaves the rest to others, and no part has more than the whole."""
    whole = WaitingThreads(3)
    attacked, other = whole.part(2), whole.part(2)
    with ExitStack() as stack:
        assert [may_wait(stack, attacked) for _ in range(3)] == [True, True, False]
        assert [may_wait(stack, other) for _ in range(2)] == [True, False]
    with ExitStack() as stack:
        assert [may_wait(stack, other) for _ in range(3)] == [True, True, False]


def test_one_thread_may_always_wait():
    """A process of one thread logs people in all the same."""
    with WaitingThreads(0).place() as is_free:
        assert is_free


def test_a_thread_waits_for_a_lock_only_in_a_place():
    """A free lock is taken at once; for one that is held, few threads wait, and none without time."""
    threads, lock = WaitingThreads(1), threading.Lock()
    assert threads.acquire(lock, 0)
    assert not threads.acquire(lock, 0)
    with threads.place():
        assert not threads.acquire(lock, 3600)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(threads.acquire, lock, 3600)
        lock.release()
        assert waiting.result(60)
    assert not threads.acquire(lock, 0.01)
