"""Announcements of revocations between the processes on one database."""

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.postgresql import is_pooled

log = logging.getLogger("macaroon_cbat.stores")

CHANNEL = "macaroon_cbat_revocations"
"""The channel of PostgreSQL's NOTIFY. All schemas of a database share it: a look too many does no harm."""

LOOK_SECONDS = 0.05
"""The time between two looks at SQLite, of 30 microseconds each."""

UNHEARD_LOOK_SECONDS = 0.2
"""The time between two looks at PostgreSQL while nothing is heard, as behind a pooler."""

_RETRY_SECONDS = 5.0
_POOLER_SECONDS = 60.0


def announce(writer: Connection) -> None:
    """Announce a revocation to the processes that listen, once the transaction of this writer is committed.

    PostgreSQL commits one transaction with a NOTIFY at a time, so those alone that revoke have one.
    """
    if writer.dialect.name == "postgresql":
        writer.exec_driver_sql(f"NOTIFY {CHANNEL}")


class Announcements(Protocol):
    """The way in which a process hears of revocations."""

    def wait(self, seconds: float) -> bool:
        """Return True as soon as there may be one, and False after so many seconds."""

    def close(self) -> None:
        """Release what was opened."""


def announcements_of(
    database: Database,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Announcements:
    """Return the announcements of this database."""
    is_postgresql = database.engine.dialect.name == "postgresql"
    return _Heard(database, monotonic, sleep) if is_postgresql else _Frequent(sleep)


class _Frequent:
    """None is announced: the reader looks again soon."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self._sleep = sleep

    def wait(self, seconds: float) -> bool:
        self._sleep(min(seconds, LOOK_SECONDS))
        return True

    def close(self) -> None:
        pass


class _Heard:
    """One connection that listens, opened again after a failure.

    It shows that the reader should look, and never what there is: an announcement may be lost.
    """

    def __init__(
        self, database: Database, monotonic: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._database = database
        self._monotonic = monotonic
        self._sleep = sleep
        self._failures = (SQLAlchemyError, database.engine.dialect.loaded_dbapi.Error)
        self._connection: Any = None
        self._open_again_at = 0.0

    def wait(self, seconds: float) -> bool:
        if self._connection is None:
            has_opened = self._monotonic() >= self._open_again_at and self._open()
            if not has_opened:
                self._sleep(min(seconds, UNHEARD_LOOK_SECONDS))
            return True  # what was announced before it listens is not heard
        try:
            return any(True for _ in self._connection.notifies(timeout=seconds, stop_after=1))
        except self._failures as error:
            self._lose(error)
            return True

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> bool:
        """Return True if announcements are heard from now on."""
        self._open_again_at = self._monotonic() + _RETRY_SECONDS
        try:
            self._connection = connection = _detached(self._database)
            if is_pooled(connection):
                log.info("revocations are looked for: a pooler hides what PostgreSQL announces")
                self._open_again_at = self._monotonic() + _POOLER_SECONDS
                self.close()
                return False
            connection.execute(f"LISTEN {CHANNEL}")
        except self._failures as error:
            self._lose(error)
            return False
        return True

    def _lose(self, error: Exception) -> None:
        log.warning("announcements of PostgreSQL are not heard, revocations are looked for: %s", error)
        self._open_again_at = self._monotonic() + _RETRY_SECONDS
        self.close()


def _detached(database: Database) -> Any:
    """Return a connection of the driver that no pool has, in which each statement commits by itself."""
    pooled = database.engine.raw_connection()
    connection: Any = pooled.driver_connection
    pooled.detach()
    connection.rollback()
    connection.autocommit = True
    return connection
