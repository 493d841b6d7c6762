"""The database of the service: its engine, transactions and schema."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.files.clock import since_boot
from macaroon_cbat.files.process_values import PerProcess
from macaroon_cbat.stores.file_in_use import REPLACED, FileInUse
from macaroon_cbat.stores.group_commit import GroupCommits
from macaroon_cbat.stores.hosts import Hosts
from macaroon_cbat.stores.postgresql import (
    Work,
    postgresql_arguments,
    prepare_postgresql,
    prove_primary,
    take_lock,
)
from macaroon_cbat.stores.prepared import Prepared
from macaroon_cbat.stores.primacy import Primacy
from macaroon_cbat.stores.remedies import with_remedy
from macaroon_cbat.stores.sqlite import BUSY_SECONDS, prepare_sqlite, sqlite_file
from macaroon_cbat.stores.urls import read_url, shown, unusable
from macaroon_cbat.stores.write_queue import WriteQueue

EMBEDDED = "macaroon_cbat.sqlite3"
"""The file of the embedded database, in the data folder."""


def is_missing(file: Path) -> bool:
    """Return True if this file holds no database. SQLite makes an empty file before its first write."""
    try:
        return file.stat().st_size == 0
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # SQLite explains it when it opens the file


def no_database(place: str) -> SettingsError:
    """Return the error about a place that holds no database."""
    return SettingsError(
        f"no database in {place}: name the one of your service with --data, MACAROON_CBAT_DATA or "
        "MACAROON_CBAT_DATABASE_URL; to make a new one there, start macaroon-cbat serve, or use --init"
    )


def sqlite_url(file: Path) -> str:
    """Return the URL of an SQLite database in this file. Any character of its path is escaped.

    Raises SettingsError for a path that SQLite cannot open.
    """
    try:
        str(file).encode()
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"the folder {str(file.parent)!r} is not named in UTF-8: choose another with --data"
        ) from error
    return URL.create("sqlite", database=str(file)).render_as_string()


class Database:
    """A database whose transactions either commit or raise `Unavailable`. Safe to fork.

    Each process has an engine of its own: no connection serves two processes.
    """

    def __init__(
        self,
        url: str,
        *,
        is_for_a_command: bool = False,
        monotonic: Callable[[], float] = since_boot,
    ) -> None:
        """Take a SQLAlchemy URL and open nothing yet. Raises SettingsError if the URL is unusable.

        A command ends soon, so it may read a file that it cannot write, and a standby.
        """
        parsed = read_url(url)
        try:
            self._in_use = FileInUse(sqlite_file(parsed))
            make = partial(_make_engine, parsed, is_for_a_command=is_for_a_command, in_use=self._in_use)
            self._engines = PerProcess(make)
            self._url = self.engine.url
        except (ArgumentError, SQLAlchemyError, TypeError, ValueError) as error:
            raise SettingsError(unusable(str(error))) from error
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        self._groups = PerProcess(partial(GroupCommits, self._begun, monotonic))
        is_proved = not (self._is_sqlite or is_for_a_command)
        self._primacy = PerProcess(partial(Primacy, self._prove, monotonic)) if is_proved else None

    def __repr__(self) -> str:
        """Show the URL without its options: a password may be among them."""
        return f"<Database {self._url.set(query={})!r}>"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that reads one consistent state. Raises Unavailable."""
        self._require_primary()
        with self._connection() as connection:
            yield connection

    def rows(self, asked: Prepared, values: Mapping[str, object]) -> list[Any]:
        """Return the rows of one SELECT, which by itself reads one consistent state. Raises Unavailable.

        This is for the requests that come most often: it costs a fifth of `reading`.
        """
        self._require_primary()
        engine = self.engine
        with self._translated():
            connection = engine.raw_connection()
            try:
                return asked.rows(connection, engine.dialect, values)
            except BaseException as error:
                connection.invalidate(error)  # the next user gets a new one
                raise
            finally:
                connection.close()

    @contextmanager
    def writing(self, *, is_migration: bool = False) -> Iterator[Connection]:
        """Yield a connection whose work is committed at the end, all or nothing. Raises Unavailable.

        Writers of one process that wait in line share a commit, which all of them wait for. A migration
        waits longer for the writers before it, and takes as long as its tables are large.
        """
        self._require_primary()
        with self._transaction("migrating" if is_migration else "writing") as writer:
            yield writer
        self._refuse_replaced()  # a writer may have waited for others meanwhile

    @property
    def place(self) -> str:
        """The place of the data, for messages: a folder, a file, or the URL of a server without secrets."""
        file = sqlite_file(self._url)
        if file is None:
            return shown(self._url)
        return str(file.parent if file.name == EMBEDDED else file)

    def close(self) -> None:
        """Close every pooled connection of this process; the next use opens new ones."""
        self.engine.dispose()

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine of this process, for event listeners and the statistics of its pool."""
        return self._engines.current()

    @property
    def turns(self) -> WriteQueue:
        """The queue of this process's writers; PostgreSQL itself queues those of all processes."""
        return self._groups.current().turns

    def _require_primary(self) -> None:
        if self._primacy is not None:
            self._primacy.current().require()
        self._refuse_replaced()

    def _refuse_replaced(self) -> None:
        if self._in_use.is_replaced():
            raise self._unavailable(REPLACED)

    def _prove(self) -> None:
        prove_primary(self.place, self._connection, partial(self._transaction, "proving"))

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def _transaction(self, work: Work) -> Iterator[Connection]:
        seconds = float(BUSY_SECONDS)
        with self._translated():
            begun = self._groups.current().writing(seconds) if self._is_sqlite else self._begun(seconds, work)
            with begun as writer:
                yield writer

    @contextmanager
    def _begun(self, seconds: float, work: Work = "writing") -> Iterator[Connection]:
        """Yield a connection with a transaction, which waits so many seconds for other processes."""
        with self.engine.connect() as connection:
            writer = connection.execution_options(macaroon_cbat_writes=int(seconds * 1000))
            with writer.begin():
                if not self._is_sqlite:
                    take_lock(writer, work)
                yield writer

    @property
    def _driver_error(self) -> type[Exception]:
        """The base of the errors of the driver."""
        found: type[Exception] = self.engine.dialect.loaded_dbapi.Error
        return found

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise  # the database is available, and rejects the row
        except (DBAPIError, NoFreeConnection, TimeoutError, sqlite3.Error, self._driver_error) as error:
            reason = " ".join(str(getattr(error, "orig", error)).split())
            raise self._unavailable(reason) from error

    def _unavailable(self, reason: str) -> Unavailable:
        return Unavailable(f"the database in {self.place} cannot be used: {with_remedy(reason)}")


def _make_engine(url: URL, *, is_for_a_command: bool, in_use: FileInUse) -> Engine:
    is_sqlite = url.get_backend_name() == "sqlite"
    hosts = None if is_sqlite else Hosts(url)
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_SECONDS} if hosts is None else postgresql_arguments(url, hosts),
        pool_pre_ping=not is_sqlite,
        pool_size=15,  # and none beyond, which would be opened for one use alone
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        hide_parameters=True,
        # A writer reads what those before it committed while it waited, whatever the role is set to.
        **({} if is_sqlite else {"isolation_level": "READ COMMITTED"}),
    )
    if hosts is None:
        prepare_sqlite(engine, is_for_a_command=is_for_a_command, in_use=in_use)
    else:
        prepare_postgresql(engine, hosts, is_for_a_command=is_for_a_command)
    return engine
