"""SQLite with a write-ahead log, real transactions, and files for their owner alone."""

import os
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

from sqlalchemy import URL, Connection, Engine, QueuePool, event
from sqlalchemy.pool import ConnectionPoolEntry

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.stores.file_in_use import FileInUse
from macaroon_cbat.stores.private import make_private, refuse_foreign
from macaroon_cbat.stores.read_only import ReadOnlyConnection, connect_read_only, is_read_only

BUSY_SECONDS = 5
"""The seconds that a writer waits for another one before Unavailable is raised."""

_PAUSE_SECONDS = 0.01
_HURRIED = "macaroon_cbat_hurried"
"""Marks a connection on which a writer has shortened the time that it waits for others."""


def prepare_sqlite(
    engine: Engine, *, is_for_a_command: bool = False, in_use: FileInUse | None = None
) -> None:
    """Use WAL, real transactions and private files.

    Readers and a writer do not wait for each other in WAL mode. Idle connections are closed before a fork:
    SQLite forbids using one in the child. Connecting raises SettingsError if other users can use the file and
    its mode cannot be changed; once a file is `in_use`, it raises an error of the driver for that, and for
    another file in its place. A command, which ends soon, may read a file that it cannot write.
    """
    in_use = in_use or FileInUse(sqlite_file(engine.url))
    _engines.add(engine)

    _connect_privately(engine, is_for_a_command=is_for_a_command, in_use=in_use)

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        try:
            if not isinstance(connection, ReadOnlyConnection):
                _write_ahead(connection)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA temp_store = MEMORY")  # there may be no temporary folder
        except sqlite3.Error:
            connection.close()  # the pool does not own it yet
            raise
        in_use.begin()

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        # A writer takes its lock first: a reader that turns writer could fail half-way.
        driver: Any = connection.connection.driver_connection
        milliseconds = connection.get_execution_options().get("macaroon_cbat_writes")
        if milliseconds is None:
            driver.execute("BEGIN")
        else:
            connection.info[_HURRIED] = True
            _begin_to_write(driver, milliseconds)

    @event.listens_for(engine, "checkin")
    def _returned(connection: sqlite3.Connection | None, record: ConnectionPoolEntry) -> None:
        if connection is not None and record.info.pop(_HURRIED, False):
            connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")


def _begin_to_write(driver: sqlite3.Connection, milliseconds: int) -> None:
    """Take the lock of the writers of all processes, or raise an error of the driver after this time.

    SQLite by itself looks for the lock ten times a second in the end. A process whose writers stand in line
    leaves it free for moments that are shorter, and would keep it from the others.
    """
    deadline = time.monotonic() + milliseconds / 1000
    driver.execute("PRAGMA busy_timeout = 1")  # look once a millisecond
    while True:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() >= deadline:
                raise
        else:
            driver.execute(f"PRAGMA busy_timeout = {milliseconds}")
            return


def _connect_privately(engine: Engine, *, is_for_a_command: bool, in_use: FileInUse) -> None:
    @event.listens_for(engine, "do_connect")
    def _connecting(
        _dialect: object, _record: object, arguments: tuple[str, ...], options: dict[str, object]
    ) -> sqlite3.Connection | None:
        file, is_written = _file_of(arguments[0])
        try:
            refuse_foreign(file)
            if is_for_a_command and is_read_only(file):
                return connect_read_only(file, options)
            if is_written:
                make_private(file)
        except SettingsError as error:
            if not in_use.is_known:
                raise
            # An operator has replaced it, or its folder, under the running service.
            raise sqlite3.OperationalError(str(error)) from error
        except PermissionError as error:
            raise sqlite3.OperationalError(
                f"{error.strerror}: give the user of the service the right to it"
            ) from error
        return None


def sqlite_file(url: URL) -> Path | None:
    """Return the file of this database, or None for a database on a server."""
    return None if url.get_backend_name() != "sqlite" else _file_of(str(url.database))[0]


_engines: WeakSet[Engine] = WeakSet()


def _close_idle_connections() -> None:
    for engine in list(_engines):
        assert isinstance(engine.pool, QueuePool)
        for _ in range(engine.pool.checkedin()):
            engine.pool.connect().invalidate()


os.register_at_fork(before=_close_idle_connections)


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on, and wait for other processes that open the same new database.

    The busy timeout of SQLite does not cover this statement: it fails at once beside another writer.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _file_of(database: str) -> tuple[Path, bool]:
    """Return the file that SQLite opens under this name, and True if it writes there."""
    options: list[str] = []
    if database.startswith("file:"):
        parts = urlsplit(database)
        database, options = unquote(parts.path), parts.query.split("&")
    return Path(database), "mode=ro" not in options
