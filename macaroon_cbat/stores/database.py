"""The database of the service: its engine, transactions and schema."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path
from threading import Event
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.files.process_values import PerProcess
from macaroon_cbat.stores.group_commit import GroupCommits
from macaroon_cbat.stores.postgresql import (
    postgresql_arguments,
    prepare_postgresql,
    take_writers_lock,
    unhurried,
)
from macaroon_cbat.stores.prepared import Prepared
from macaroon_cbat.stores.remedies import with_remedy
from macaroon_cbat.stores.sqlite import BUSY_SECONDS, prepare_sqlite, sqlite_file
from macaroon_cbat.stores.urls import read_url, unusable
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
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take a SQLAlchemy URL and open nothing yet. Raises SettingsError if the URL is unusable.

        A command ends soon, so it may read a file that it cannot write.
        """
        parsed = read_url(url)
        try:
            make = partial(_make_engine, parsed, is_for_a_command=is_for_a_command, served=Event())
            self._engines = PerProcess(make)
            self._url = self.engine.url
        except (ArgumentError, SQLAlchemyError, TypeError, ValueError) as error:
            raise SettingsError(unusable(str(error))) from error
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        self._groups = PerProcess(partial(GroupCommits, self._begun, monotonic))

    def __repr__(self) -> str:
        """Show the URL without its options: a password may be among them."""
        return f"<Database {self._url.set(query={})!r}>"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that reads one consistent state. Raises Unavailable."""
        with self._translated(), self.engine.connect() as connection:
            yield connection

    def rows(self, asked: Prepared, values: Mapping[str, object]) -> list[Any]:
        """Return the rows of one SELECT, which by itself reads one consistent state. Raises Unavailable.

        This is for the requests that come most often: it costs a fifth of `reading`.
        """
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
    def writing(self) -> Iterator[Connection]:
        """Yield a connection whose work is committed at the end, all or nothing. Raises Unavailable."""
        seconds = float(BUSY_SECONDS)
        with self._translated():
            begin = self._groups.current().writing if self._is_sqlite else self._begun
            with begin(seconds) as writer:
                yield writer

    @contextmanager
    def _begun(self, seconds: float) -> Iterator[Connection]:
        """Yield a connection with a transaction, which waits so many seconds for other processes."""
        with self.engine.connect() as connection:
            writer = connection.execution_options(macaroon_cbat_writes=int(seconds * 1000))
            with writer.begin():
                if not self._is_sqlite:
                    take_writers_lock(writer)
                yield writer

    @property
    def place(self) -> str:
        """The place of the data, for messages: a folder, a file, or the URL of a server without secrets."""
        file = sqlite_file(self._url)
        if file is None:
            return self._url.set(query={}, drivername=self._url.get_backend_name()).render_as_string()
        return str(file.parent if file.name == EMBEDDED else file)

    def upgrade(self) -> None:
        """Bring the schema to the newest version. Raises SettingsError if it is newer than the code."""
        with self.reading() as connection:
            if MigrationContext.configure(connection).get_current_revision() == _revisions()[-1]:
                return
        configuration = _configuration()
        with self.writing() as connection:
            configuration.attributes["connection"] = connection
            self._refuse_newer(MigrationContext.configure(connection).get_current_revision())
            with nullcontext() if self._is_sqlite else unhurried(connection):
                command.upgrade(configuration, "head")

    def check_schema(self) -> None:
        """Raise SettingsError unless the database has the schema of this version; change nothing."""
        file = sqlite_file(self._url)
        if file is not None and is_missing(file):
            raise no_database(self.place)
        with self.reading() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
        if found is None:
            raise no_database(self.place)
        self._refuse_newer(found)
        if found != _revisions()[-1]:
            raise SettingsError(
                f"the database in {self.place} is of an older version (schema {found}): restart "
                f"macaroon-cbat serve, which brings it to {_revisions()[-1]}, or use --init"
            )

    def _refuse_newer(self, found: str | None) -> None:
        if found is not None and found not in _revisions():
            raise SettingsError(
                f"the database in {self.place} has schema {found!r}, which this version "
                f"({_revisions()[-1]!r}) does not know: install the newer macaroon_cbat "
                "that wrote it, or point to another database"
            )

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
            raise Unavailable(
                f"the database in {self.place} cannot be used: {with_remedy(reason)}"
            ) from error


def _configuration() -> Config:
    configuration = Config()
    migrations = str(Path(__file__).parent / "migrations")
    configuration.set_main_option("script_location", migrations.replace("%", "%%"))
    return configuration


@cache
def _revisions() -> list[str]:
    """Return the revisions of the schema, the newest last: their files are read once in a process."""
    script = ScriptDirectory.from_config(_configuration())
    return [one.revision for one in script.walk_revisions()][::-1]


def _make_engine(url: URL, *, is_for_a_command: bool, served: Event) -> Engine:
    is_sqlite = url.get_backend_name() == "sqlite"
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_SECONDS} if is_sqlite else postgresql_arguments(url),
        pool_pre_ping=not is_sqlite,
        pool_size=15,  # and none beyond, which would be opened for one use alone
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        hide_parameters=True,
    )
    if is_sqlite:
        prepare_sqlite(engine, is_for_a_command=is_for_a_command, served=served)
    else:
        prepare_postgresql(engine)
    return engine
