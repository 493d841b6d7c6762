"""Writers that go on while their database fails under them, and what they were told."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from sqlalchemy import Engine, event

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.stores import Stores
from tests.support.databases import METADATA, NOW, SECRET
from tests.support.racer import DAY

Write = Callable[[Stores, str], object]


ROTATION = {
    "the wait": (sqlite3.SQLITE_PRAGMA, "busy_timeout"),
    "the begin": (sqlite3.SQLITE_TRANSACTION, "BEGIN"),
    "the look": (sqlite3.SQLITE_READ, "families"),
    "the change": (sqlite3.SQLITE_UPDATE, "families"),
    "the commit": (sqlite3.SQLITE_TRANSACTION, "COMMIT"),
}
"""The steps of the transaction that rotates a refresh family, as SQLite is asked for them."""


@contextmanager
def failing_at(engine: Engine, step: str) -> Iterator[list[str]]:
    """Let SQLite refuse this step to every writer until the block ends; yield a list of each refusal."""
    refused: list[str] = []

    def taken(connection: sqlite3.Connection, *_: object) -> None:
        begun: list[object] = []

        def asked(action: int, about: str | None, *_: object) -> int:
            begun.extend([about] if (action, about) == ROTATION["the begin"] else [])
            if (action, about) != ROTATION[step] or not (begun or step == "the wait"):
                return sqlite3.SQLITE_OK
            refused.append(step)
            return sqlite3.SQLITE_DENY

        connection.set_authorizer(asked)

    def returned(connection: sqlite3.Connection | None, *_: object) -> None:
        if connection is not None:
            connection.set_authorizer(None)

    event.listen(engine, "checkout", taken)
    event.listen(engine, "checkin", returned, insert=True)
    try:
        yield refused
    finally:
        event.remove(engine, "checkout", taken)
        event.remove(engine, "checkin", returned)


@contextmanager
def failing_at_statement(engine: Engine, statement: str) -> Iterator[None]:
    """Let the database fail at each statement that begins so, until the block ends."""

    def fail(_connection: object, _cursor: object, text: str, *_more: object) -> None:
        if text.startswith(statement):
            raise sqlite3.OperationalError("database is locked")

    event.listen(engine, "before_cursor_execute", fail)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", fail)


def revoke(stores: Stores, name: str) -> str:
    return stores.revocations.revoke("subject", name, now=NOW, expires_at=NOW + DAY).value


def rotate(stores: Stores, _name: str) -> str:
    return stores.root_keys.rotate(NOW).kid


def add_client(stores: Stores, name: str) -> str:
    return stores.clients.add(name, METADATA, secret=SECRET, now=NOW).client_id


WRITES: tuple[Write, ...] = (revoke, rotate, add_client)


@dataclass
class Told:
    """The answers to the writers: acknowledged names by kind of write, refusals, and anything else."""

    acknowledged: dict[str, list[object]] = field(
        default_factory=lambda: {write.__name__: [] for write in WRITES}
    )
    refused: list[Unavailable] = field(default_factory=list)
    broken: list[BaseException] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.acknowledged.values()))


@contextmanager
def writing(stores: Stores, threads: int = 9) -> Iterator[Told]:
    """Let threads write, a third of them each kind, until the block ends."""
    told, stopped = Told(), threading.Event()

    def work(number: int) -> None:
        write = WRITES[number % len(WRITES)]
        for turn in count():
            if stopped.is_set():
                return
            try:
                told.acknowledged[write.__name__].append(write(stores, f"w{number}-{turn}"))
            except Unavailable as error:
                told.refused.append(error)
                stopped.wait(0.01)
            except BaseException as error:  # noqa: BLE001 # the test shows it
                told.broken.append(error)
                return

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield told
    finally:
        stopped.set()
        for worker in workers:
            worker.join()


def check_nothing_is_lost(stores: Stores, told: Told) -> None:
    """Check that everything acknowledged is there, and no half of anything."""
    assert told.broken == []
    records = stores.root_keys.records()
    assert [one.state for one in records][-2:] == ["current", "next"]
    assert {one.state for one in records[:-2]} <= {"retiring"}
    assert {one.kid for one in records} >= {*told.acknowledged["rotate"]}
    assert len(stores.root_keys.all()) == len(records)
    assert {one.client_id for one in stores.clients.all()} >= {*told.acknowledged["add_client"]}
    page = stores.revocations.after(0, "https://api.example", 1_000_000)
    revoked = [one.value for one in page.decisions]
    assert {*revoked} >= {*told.acknowledged["revoke"]}
    assert page.cursor == len(revoked) == len({*revoked})
