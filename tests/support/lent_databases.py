"""Databases on PostgreSQL that one test after the other is lent, each as the first one found it.

A new database is a thousand files; emptying one that is there is a thirtieth of the work.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.support.postgresql import Postgres

_RELATIONS = """
    SELECT array_agg((c.oid, c.relname, c.relnatts, c.relhastriggers, c.reloptions)::text ORDER BY c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""
_SESSIONS_AT_WORK = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
"""


class _Database:
    """One database, with a copy of each of its tables in the schema `kept`."""

    def __init__(self, server: Postgres, filled: Callable[[str], object]) -> None:
        self.url = server.new_database()
        filled(self.url)
        conninfo = self.url.replace("+psycopg", "") + "?options=-clock_timeout%3D2s"
        self._connection: psycopg.Connection[Any] = psycopg.connect(conninfo, autocommit=True)
        tables = [
            str(name) for (name,) in self._rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        self._run("CREATE SCHEMA kept")
        for table in tables:
            self._run(f"CREATE TABLE kept.{table} AS TABLE public.{table}")
        self._relations = self._rows(_RELATIONS)
        self._restoring = ";".join(
            f"DELETE FROM public.{table}; INSERT INTO public.{table} TABLE kept.{table}" for table in tables
        )

    def restore(self) -> bool:
        """Give every table its first rows; return False if the database cannot be as it was."""
        try:
            if self._rows(_RELATIONS) != self._relations or self._rows(_SESSIONS_AT_WORK) != [(0,)]:
                return False
            self._run(self._restoring)  # one transaction
        except psycopg.Error:
            return False
        return True

    def close(self) -> None:
        self._connection.close()

    def _run(self, statements: str) -> None:
        self._connection.execute(statements.encode())

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query.encode()).fetchall()


class Lender:
    """Lends the databases of one server that were filled by one function."""

    def __init__(self, server: Postgres, filled: Callable[[str], object]) -> None:
        """Make nothing yet."""
        self._server, self._filled = server, filled
        self._free: list[_Database] = []

    @contextmanager
    def lent(self) -> Iterator[str]:
        """Give the URL of a database as the function filled it, until the block ends."""
        database = self._restored() or _Database(self._server, self._filled)
        try:
            yield database.url
        finally:
            self._free.append(database)

    def close(self) -> None:
        """Close the connections to the databases."""
        for database in self._free:
            database.close()

    def _restored(self) -> _Database | None:
        """Return a database as it was first; what the test before may still have done is over by now."""
        while self._free:
            database = self._free.pop()
            if database.restore():
                return database
            database.close()
            self._server.drop(database.url)
        return None
