"""Writers of one process take turns: in order, within their time, and also after one of them fails."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from macaroon_cbat.stores import Database
from macaroon_cbat.stores.database import BUSY_SECONDS
from macaroon_cbat.stores.write_queue import WriteQueue
from tests.support.databases import ON_SQLITE
from tests.support.failing_database import revoke
from tests.support.interruptions import Signalled, signalled
from tests.support.tls_servers import wait_until


def queued(turns: WriteQueue, number: int) -> bool:
    return turns.waiting == number


def test_who_came_first_goes_first():
    """Threads pass one at a time, in the order in which they came."""
    turns, passed = WriteQueue(), []

    def come(number: int) -> None:
        with turns.turn(20):
            passed.append(number)

    threads = []
    with turns.turn(20):
        for number in range(20):
            threads.append(threading.Thread(target=come, args=(number,)))
            threads[-1].start()
            wait_until(lambda number=number: queued(turns, number + 1))
        assert passed == []
    for thread in threads:
        thread.join()
    assert passed == list(range(20))


def test_a_turn_that_does_not_come_is_given_up():
    """A writer that waited in vain gets TimeoutError, keeps no other behind, and may come again."""
    turns = WriteQueue()
    with turns.turn(1):
        with pytest.raises(TimeoutError), turns.turn(0.05):
            pass
        assert queued(turns, 0)
    with turns.turn(0) as left:
        assert left == 0


def test_a_writer_that_is_interrupted_leaves_the_line():
    """A signal that ends a waiting thread keeps no other one from its turn."""
    turns = WriteQueue()
    with turns.turn(20):
        with pytest.raises(Signalled), signalled(lambda: queued(turns, 1)), turns.turn(20):
            pass
        assert queued(turns, 0)
    with turns.turn(0) as left:
        assert left == 0


def test_what_is_left_is_said():
    """The wait for the turn is taken off the time."""
    now, left = [0.0], []
    turns = WriteQueue(lambda: now[0])

    def come() -> None:
        with turns.turn(20) as seconds:
            left.append(seconds)

    with turns.turn(20):
        thread = threading.Thread(target=come)
        thread.start()
        wait_until(lambda: queued(turns, 1))
        now[0] += 12.5
    thread.join()
    assert left == [7.5]


def test_a_turn_ends_with_an_error():
    """A writer that fails in its turn passes it on."""
    turns = WriteQueue()
    with pytest.raises(ZeroDivisionError), turns.turn(1):
        raise ZeroDivisionError
    with turns.turn(0):
        pass


def test_turns_that_are_given_up_at_the_last_moment_are_not_lost():
    """Many threads with hardly any patience: the turn never gets stuck, and two never have it at once."""
    turns, inside, told = WriteQueue(), [], Counter[str]()

    def come() -> None:
        for _ in range(300):
            try:
                with turns.turn(0.0005):
                    inside.append(1)
                    assert len(inside) == 1
                    time.sleep(0.0004)
                    inside.pop()
                    told["passed"] += 1
            except TimeoutError:
                told["gave up"] += 1

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(told["passed"], told["gave up"]) > 0
    with turns.turn(0):
        assert inside == []


def test_no_writer_starves(stores):
    """Of nine threads that write all the time none waits long, and each gets its share."""
    written, stopped, all_there = [0] * 9, threading.Event(), threading.Barrier(9, timeout=60)

    def work(number: int) -> None:
        revoke(stores, f"first of {number}")  # over its connection
        all_there.wait()
        while not stopped.is_set():
            revoke(stores, f"{number}-{written[number]}")
            written[number] += 1

    with ThreadPoolExecutor(9) as pool:
        working = [pool.submit(work, number) for number in range(9)]
        try:
            wait_until(lambda: sum(written) > 400 or any(one.done() for one in working))
        finally:
            stopped.set()
        for one in working:
            one.result()
    assert min(written) > max(written) / 2, written


@ON_SQLITE
def test_the_wait_is_one_for_both(stores, url):
    """A writer that has waited for its turn waits for another process's lock only as long as is left."""
    looks, left = [], []

    def clock() -> float:
        looks.append(None)
        return 0.0 if len(looks) <= 3 else BUSY_SECONDS - 1.5

    database = Database(url, monotonic=clock)

    def write() -> None:
        with database.writing() as connection:
            left.append(busy_timeout(connection))

    with database.turns.turn(5):  # which looks at the clock twice
        thread = threading.Thread(target=write)
        thread.start()
        wait_until(lambda: len(looks) == 3)
    thread.join()
    assert left == [1500]
    with database.reading() as connection:
        assert busy_timeout(connection) == BUSY_SECONDS * 1000, "the next user has all of its time"
    database.close()


def busy_timeout(connection) -> int:
    return connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
