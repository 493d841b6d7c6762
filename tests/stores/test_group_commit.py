"""Writers of one process that share a commit: each is told after it, and fails by itself or with all."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from mmap import mmap
from pathlib import Path

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import IntegrityError

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.stores import Database
from macaroon_cbat.stores.group_commit import MOST_WRITERS, SECONDS
from tests.support.file_limits import files_limited_to
from tests.support.forks import in_children
from tests.support.interruptions import Signalled, signalled
from tests.support.tls_servers import wait_until

Body = Callable[[Connection, int], None]
WRITERS = 9


class Line:
    """Writers that stand in line behind one whose work has not ended, each with a row of its own."""

    def __init__(self, file: Path) -> None:
        """Make the database in this file."""
        self.file, self.time, self.commits = file, 0.0, 0
        self.database = Database(f"sqlite:///{file}", monotonic=lambda: self.time)
        with self.database.writing() as connection:
            connection.exec_driver_sql("CREATE TABLE written (number INTEGER PRIMARY KEY, text TEXT)")
        event.listen(self.database.engine, "commit", self._count)

    def _count(self, _connection: Connection) -> None:
        self.commits += 1

    @contextmanager
    def up(self, body: Body, writers: int = WRITERS) -> Iterator[list[Future[None]]]:
        """Let the writers come one after the other; their work goes on when the block ends."""
        begun, go_on = threading.Event(), threading.Event()

        def write(number: int) -> None:
            with self.database.writing() as connection:
                if number == 0:
                    begun.set()
                    go_on.wait()
                body(connection, number)

        with ThreadPoolExecutor(writers) as pool:
            told = [pool.submit(write, 0)]
            begun.wait()
            for number in range(1, writers):
                told.append(pool.submit(write, number))
                wait_until(lambda number=number: self.waiting == number, pause=0.001)
            yield told
            go_on.set()

    @property
    def waiting(self) -> int:
        """The number of writers that wait for their turn."""
        return self.database.turns.waiting

    def rows(self) -> list[int]:
        """Return the numbers that are in the database, as another process sees it."""
        connection = sqlite3.connect(self.file)
        try:
            return [number for (number,) in connection.execute("SELECT number FROM written ORDER BY number")]
        finally:
            connection.close()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    found = Line(tmp_path / "db.sqlite3")
    yield found
    found.database.close()


def add(connection: Connection, number: int) -> None:
    connection.exec_driver_sql("INSERT INTO written VALUES (?, ?)", (number, "x" * 3000))


def succeeded(told: list[Future[None]]) -> list[int]:
    return [number for number, each in enumerate(told) if each.exception() is None]


def test_writers_in_line_share_a_commit(line):
    """The writers in line are committed at once, and the row of each is there."""
    with line.up(add) as told:
        pass
    assert (succeeded(told), line.rows(), line.commits) == ([*range(WRITERS)], [*range(WRITERS)], 1)


def test_no_writer_is_told_before_the_commit(line):
    """A writer whose work has ended waits for the commit: before it no other process sees the row."""
    seen: list[tuple[int, list[int]]] = []

    def body(connection: Connection, number: int) -> None:
        add(connection, number)
        seen.append((sum(each.done() for each in told), line.rows()))

    with line.up(body) as told:
        pass
    assert seen == [(0, [])] * WRITERS
    assert line.rows() == [*range(WRITERS)]


def test_a_writer_sees_the_work_of_those_before_it(line):
    """Writers act one after the other, as in transactions of their own: one of two gets a name."""

    def body(connection: Connection, number: int) -> None:
        add(connection, number // 2)

    with line.up(body, writers=8) as told:
        pass
    assert (succeeded(told), line.rows()) == ([0, 2, 4, 6], [0, 1, 2, 3])


@pytest.mark.parametrize("failing", [0, 4, WRITERS - 1], ids=["first", "middle", "last"])
def test_a_writer_that_fails_undoes_its_work_alone(line, failing):
    """An error in the work of one writer undoes that work, reaches that writer, and stops no other."""

    def body(connection: Connection, number: int) -> None:
        add(connection, number)
        if number == failing:
            raise ZeroDivisionError

    with line.up(body) as told:
        pass
    assert isinstance(told[failing].exception(), ZeroDivisionError)
    assert succeeded(told) == line.rows() == [number for number in range(WRITERS) if number != failing]


def test_a_commit_that_fails_refuses_every_writer(line):
    """If the disk is full when the group commits, each writer gets Unavailable, and no row is there."""
    size = line.file.with_name(line.file.name + "-wal").stat().st_size
    with files_limited_to(size + 4096), line.up(add) as told:
        pass
    assert [type(each.exception()) for each in told] == [Unavailable] * WRITERS
    assert line.rows() == []
    with line.up(add) as told:
        pass
    assert succeeded(told) == line.rows() == [*range(WRITERS)]


@pytest.mark.parametrize("is_noticed", [True, False], ids=["raised", "swallowed"])
def test_a_transaction_that_is_lost_refuses_all_that_were_in_it(line, is_noticed):
    """If SQLite undoes the whole transaction at one writer's statement, those before it are refused, too.

    It may do so on a full disk. The writers after it begin a new transaction.
    """

    def body(connection: Connection, number: int) -> None:
        add(connection, number)
        if number == 4:
            try:
                connection.exec_driver_sql("INSERT OR ROLLBACK INTO written VALUES (0, '')")
            except IntegrityError:
                if is_noticed:
                    raise

    with line.up(body) as told:
        pass
    assert succeeded(told) == line.rows() == [*range(5, WRITERS)]
    assert [type(each.exception()) for each in told[:4]] == [Unavailable] * 4


def test_a_writer_that_is_interrupted_leaves_no_other_without_a_commit(line):
    """A signal that ends a writer as its turn comes keeps none waiting that wrote before it."""
    begun, go_on = threading.Event(), threading.Event()

    def let_the_turn_come() -> None:
        go_on.set()
        wait_until(lambda: line.waiting == 0)

    def write() -> None:
        with line.database.writing() as connection:
            begun.set()
            go_on.wait()
            add(connection, 0)

    interrupted = signalled(lambda: line.waiting == 1, let_the_turn_come)
    with ThreadPoolExecutor() as pool:
        told = [pool.submit(write)]
        begun.wait()
        with pytest.raises(Signalled), interrupted, line.database.writing():
            pass
    assert succeeded(told) == [0]
    assert line.rows() == [0]


def test_a_group_is_bounded(line):
    """Not too many writers share a commit: those of other processes wait meanwhile."""
    with line.up(add, writers=MOST_WRITERS + 3) as told:
        pass
    assert (len(succeeded(told)), line.commits) == (MOST_WRITERS + 3, 2)


def test_a_group_takes_no_writer_after_its_time(line):
    """A transaction that is open for long is committed before the next writer begins."""

    def body(connection: Connection, number: int) -> None:
        add(connection, number)
        line.time += SECONDS

    with line.up(body) as told:
        pass
    assert (len(succeeded(told)), line.commits) == (WRITERS, WRITERS)


def test_processes_whose_writers_stand_in_line_starve_none(line):
    """Of two processes that write all the time each gets a share, though groups leave hardly a gap."""
    written, ready = (memoryview(mmap(-1, 16)).cast("q") for _ in range(2))  # which the children share

    def write(process: int) -> bool:
        def work(number: int) -> None:
            while sum(written) < 2000:
                with line.database.writing() as connection:
                    connection.exec_driver_sql("INSERT INTO written (text) VALUES (?)", (str(number),))
                    written[process] += 1

        line.rows()
        ready[process] = 1
        wait_until(lambda: sum(ready) == 2, pause=0.001)
        with ThreadPoolExecutor(6) as pool:
            return list(pool.map(work, range(6))) == [None] * 6

    assert in_children(2, write) == [0, 0]
    assert min(written) > max(written) / 5, list(written)
