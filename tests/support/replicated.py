"""A primary PostgreSQL server and its synchronous standby: to start, cut off, kill and promote."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.support.ports import free_port
from tests.support.postgresql import SECONDS, Postgres, give_to_unprivileged, postgres, tool, unprivileged

_STANDBY = "walreceiver"
"""The name under which a standby asks, unless its settings say another one."""


def ask(server: Postgres, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
    """Run a statement on one server, as its administrator; return its rows."""
    with _connected(server, database) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def wait_for(server: Postgres, question: str, database: str = "postgres") -> None:
    """Wait until a server answers yes; a standby may not have the database or its tables yet."""
    deadline = time.monotonic() + SECONDS
    while True:
        with suppress(psycopg.Error), _connected(server, database) as connection:
            while connection.execute(question.encode()).fetchone() != (True,):
                assert time.monotonic() < deadline, question
                time.sleep(0.01)
            return
        assert time.monotonic() < deadline, question
        time.sleep(0.01)


def _connected(server: Postgres, database: str) -> psycopg.Connection[Any]:
    conninfo = f"host=127.0.0.1 port={server.port} user=cbat dbname={database}"
    return psycopg.connect(conninfo, autocommit=True, connect_timeout=SECONDS)


def _set(server: Postgres, name: str, value: str) -> None:
    """Give a running server a setting."""
    ask(server, f"ALTER SYSTEM SET {name} = '{value.replace(chr(39), chr(39) * 2)}'")
    ask(server, "SELECT pg_reload_conf()")


class Pair:
    """Two servers. The primary acknowledges a commit once its standby has it as well."""

    def __init__(self, primary: Postgres) -> None:
        """Make the standby of a server that runs."""
        self.primary = primary
        self._folder = Path(tempfile.mkdtemp(prefix="macaroon-cbat-standby-"))
        self._made, self._copies, self._way = 0, 0, ""
        _set(primary, "wal_retrieve_retry_interval", "100ms")
        self.standby = self._copied(free_port())
        self.is_whole = True

    def new_database(self) -> str:
        """Make a database in the place of the last one; return its URL, which names the primary first."""
        name, before = f"cbat{self._made + 1}", f"cbat{self._made}"
        ask(self.primary, f"DROP DATABASE IF EXISTS {before} WITH (FORCE)")
        ask(self.primary, f"CREATE DATABASE {name}")
        self._made += 1
        return self.url(name, self.primary, self.standby)

    def url(self, name: str, *servers: Postgres) -> str:
        """Return the URL of a database, with these hosts, as libpq writes it."""
        return f"postgresql://cbat@{','.join(f'127.0.0.1:{one.port}' for one in servers)}/{name}"

    def promote(self) -> None:
        """Make the standby the primary, as an operator or a tool does, whatever became of the old one."""
        _set(self.standby, "synchronous_standby_names", "")  # there is none for it yet
        ask(self.standby, "SELECT pg_promote(true, 60)")
        self.primary, self.standby = self.standby, self.primary
        self.is_whole = False

    def part(self) -> None:
        """Cut the standby off from the primary, as a broken network does, until the pair is healed."""
        [(self._way,)] = ask(self.standby, "SHOW primary_conninfo")
        _set(self.standby, "primary_conninfo", "")
        wait_for(self.primary, "SELECT count(*) = 0 FROM pg_stat_replication")
        self.is_whole = False

    def rejoin(self) -> None:
        """Let the standby follow the primary again."""
        _set(self.standby, "primary_conninfo", self._way)
        wait_for(self.primary, "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'")
        self.is_whole = True

    def heal(self) -> None:
        """Make the old primary the standby of the new one, if there is a new one."""
        if not self.is_whole:
            self.standby.stop()
            shutil.rmtree(self.standby.folder / "data")
            self.standby = self._copied(self.standby.port)
            self.is_whole = True

    def close(self) -> None:
        """End both."""
        for one in (self.standby, self.primary):
            one.stop()
        shutil.rmtree(self._folder)

    def _copied(self, port: int) -> Postgres:
        """Start a standby of the primary, and let the primary wait for it from now on."""
        self._copies += 1
        folder = self._folder / str(self._copies)
        folder.mkdir()
        give_to_unprivileged(self._folder)
        give_to_unprivileged(folder)
        command = [*unprivileged(), tool("pg_basebackup"), "-D", str(folder / "data"), "-R", "--no-sync"]
        command += ["-c", "fast", "-h", "127.0.0.1", "-p", str(self.primary.port), "-U", "cbat"]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
        standby = Postgres(folder, "kills", port)
        standby.start()
        _set(self.primary, "synchronous_standby_names", _STANDBY)
        wait_for(self.primary, "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'")
        return standby


@contextmanager
def replicated() -> Iterator[Pair]:
    """Run a primary and its synchronous standby until the block ends."""
    with postgres(outlives="kills") as first:
        pair = Pair(first)
        try:
            yield pair
        finally:
            pair.close()
