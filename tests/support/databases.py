"""A database in a folder, and processes that all act at the same moment."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.stores import ClientMetadata, Stores, WrappingKey, open_stores
from macaroon_cbat.stores.schema import schema
from tests.support import fork_server

ROOT = Path(__file__).parents[2]
ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
"""For what only a database in a file can show."""
NOW = EpochSeconds(1_767_222_000)
WRAPPING_KEY = WrappingKey(bytes(range(32)))
METADATA = ClientMetadata(scope="read write", audiences=("https://api.example",))
SECRET = "kBq1Zf8mQ-vT2Yw5"
Rows = dict[str, list[dict[str, Any]]]
"""The rows of each table of a database."""


def url_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'db.sqlite3'}"


def opened(url: str, wrapping_key: WrappingKey = WRAPPING_KEY) -> Stores:
    """Open the stores of this database, as one more process would."""
    return open_stores(url, wrapping_key, NOW)


@contextmanager
def without(stores: Stores, table: str) -> Iterator[None]:
    """Take a table away until the block ends."""
    execute(stores, f"ALTER TABLE {table} RENAME TO vanished")
    yield
    execute(stores, f"ALTER TABLE vanished RENAME TO {table}")


def execute(stores: Stores, statement: str, **values: object) -> list[tuple[Any, ...]]:
    """Run SQL with :named values; return the rows that it gives."""
    with stores.database.writing() as connection:
        result = connection.execute(text(statement), values)
        return [tuple(row) for row in result] if result.returns_rows else []


def all_rows(stores: Stores) -> Rows:
    """Return every row of a database, by table."""
    with stores.database.reading() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in schema.sorted_tables
        }


def put_rows(stores: Stores, rows: Rows) -> None:
    """Let a database hold these rows and no other ones."""
    with stores.database.writing() as connection:
        for table in reversed(schema.sorted_tables):
            connection.execute(delete(table))
        for table in schema.sorted_tables:
            if rows[table.name]:
                connection.execute(insert(table), rows[table.name])


def every_byte(folder: Path) -> bytes:
    """Return what lies on disk: the database, its write-ahead log and whatever else is there."""
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def revoke_token(stores: Stores, token: Grant, now: EpochSeconds = NOW) -> None:
    """Take this token back, as the service does for its client."""
    stores.revocations.revoke("token", token.jti, now=now, expires_at=token.exp, audience=token.audience)


def remove(stores: Stores, name: str, now: EpochSeconds = NOW) -> bool:
    """Remove a client, as the service does."""
    return stores.clients.remove(name, lambda: now, lasting=600)


def grant(jti: str = "AAECAwQFBgcICQoLDA0ODw", **changes: Any) -> Grant:
    members = {"client_id": "billing", "exp": NOW + 600, "iat": NOW, "kid": "k", "scope": "read"}
    return Grant(jti=jti, **({"sub": "billing"} | members | changes))


@dataclass
class Racers:
    """Processes that have started already, and wait for the word."""

    processes: Sequence[subprocess.Popen[str]]

    def race(self, *arguments: str) -> list[Any]:
        """Let all of them do the same at once; return what each of them says."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(arguments) + "\n")
            process.stdin.flush()
        return [self._answer(process) for process in self.processes]

    def _answer(self, process: subprocess.Popen[str]) -> Any:
        assert process.stdout is not None
        return json.loads(process.stdout.readline())


@contextmanager
def racing(count: int) -> Iterator[Racers]:
    """Start processes that end when the block does."""
    with ExitStack() as stack:
        command = [sys.executable, "-m", "tests.support.racer"]
        processes = [
            stack.enter_context(
                fork_server.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(count)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield Racers(processes)
