"""The commit that writers of one process share: one wait for the disk is enough for those that wait in line.

Every writer is told after the commit that it belongs to, and all of them fail if that fails. A writer that
fails by itself undoes its own work alone. SQLite still has one writer at a time.
"""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import Event
from typing import Any

from sqlalchemy import Connection

from macaroon_cbat.stores.write_queue import WriteQueue

MOST_WRITERS, SECONDS = 32, 0.05
"""The writers that share a commit at most, and the time after which none joins them.

The writers of other processes wait so long.
"""

Begin = Callable[[float], AbstractContextManager[Connection]]
"""Begins a transaction within so many seconds; its end commits, or undoes all after an error."""


class GroupCommits:
    """The groups of writers of one process, one after the other."""

    def __init__(self, begin: Begin, monotonic: Callable[[], float]) -> None:
        """Begin transactions by this function; the clock `monotonic` returns seconds."""
        self.turns = WriteQueue(monotonic, self._abandon)
        self._begin = begin
        self._monotonic = monotonic
        self._open: _Group | None = None  # for the writer alone whose turn it is

    @contextmanager
    def writing(self, seconds: float) -> Iterator[Connection]:
        """Yield the connection of a transaction, and return once it is on disk.

        Raises TimeoutError if other writers take so many seconds, and the error of the driver by which this
        writer or its commit fails.
        """
        group = self._joined(self.turns.take(seconds))
        try:
            with group.writer() as connection:
                yield connection
        finally:
            self._end_turn(group)
        group.wait()

    def _joined(self, seconds: float) -> "_Group":
        """Return the group that the writer before left open, or begin one."""
        group, self._open = self._open, None
        try:
            return group or _Group(self._begin(seconds), self._monotonic() + SECONDS)
        except BaseException:
            self.turns.pass_on()
            raise

    def _abandon(self) -> None:
        """End the turn of a writer that was interrupted as it came: those before it wait for a commit."""
        group, self._open = self._open, None
        if group is None:
            self.turns.pass_on()
        else:
            self._end_turn(group)

    def _end_turn(self, group: "_Group") -> None:
        """Leave the group to the next writer in line, or commit it."""
        if not group.is_over and group.writers < MOST_WRITERS and self._monotonic() < group.ends_at:
            self._open = group
            if self.turns.hand_over():
                return
            self._open = None
        try:
            group.commit()
        finally:
            self.turns.pass_on()


class _Group:
    """A transaction, its writers, and how it ended."""

    def __init__(self, transaction: AbstractContextManager[Connection], ends_at: float) -> None:
        """Begin the transaction."""
        self._transaction = transaction
        self._connection = transaction.__enter__()
        self._driver: Any = self._connection.connection.driver_connection
        self._ended = Event()
        self._error: BaseException | None = None
        self.ends_at = ends_at
        self.writers = 0

    @property
    def is_over(self) -> bool:
        """True once the transaction is committed or undone."""
        return self._ended.is_set()

    @contextmanager
    def writer(self) -> Iterator[Connection]:
        """Yield the connection; an error undoes what this writer did, and nothing else if it can."""
        is_first = self.writers == 0
        self.writers += 1
        try:
            if not is_first:
                self._driver.execute("SAVEPOINT writer")
            yield self._connection
            if not is_first:
                self._driver.execute("RELEASE writer")
            if not self._driver.in_transaction:
                raise sqlite3.OperationalError("the transaction was rolled back")
        except BaseException as error:
            if is_first or not self._takes_back():
                self._undo(error)
            raise

    def _takes_back(self) -> bool:
        """Undo the last writer's work; return False if the whole transaction is lost, as on a full disk."""
        with suppress(sqlite3.Error):
            self._driver.execute("ROLLBACK TO writer")
            self._driver.execute("RELEASE writer")
            return bool(self._driver.in_transaction)
        return False

    def commit(self) -> None:
        """Commit unless the group is over, and tell the writers."""
        if self.is_over:
            return
        try:
            self._transaction.__exit__(None, None, None)
        except BaseException as error:
            self._error = error
            if not isinstance(error, Exception):
                raise
        finally:
            self._ended.set()

    def _undo(self, error: BaseException) -> None:
        """Undo the work of all writers, and tell them."""
        self._error = error
        try:
            with suppress(Exception):
                self._transaction.__exit__(*sys.exc_info())
        finally:
            self._ended.set()

    def wait(self) -> None:
        """Return once the transaction is committed, or raise the driver's error in each writer."""
        self._ended.wait()
        if self._error is not None:
            reason = str(getattr(self._error, "orig", self._error))
            raise sqlite3.OperationalError(reason) from self._error
