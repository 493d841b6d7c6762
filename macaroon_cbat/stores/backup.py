"""Backups of a database that is in use: every table as it was at one moment, without what mints."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, select

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files import written
from macaroon_cbat.stores.backup_format import (
    KEPT_RECORDS,
    MANIFEST,
    TABLES,
    Hashed,
    Manifest,
    TableFile,
    bytes_columns,
    line_of,
)
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.postgresql import unhurried
from macaroon_cbat.stores.schema import expiring_records, service_facts
from macaroon_cbat.stores.schema_versions import VERSIONS
from macaroon_cbat.stores.self_registered import bounds_alone

_ROWS = 5000
"""Rows that are read at once."""


def write_backup(
    database: Database, folder: Path, *, version: str, made_at: int, wrapping_key: str | None = None
) -> Manifest:
    """Write a backup of the database into an empty folder, and return its manifest.

    Raises Unavailable without the database, SettingsError for one of another version, and OSError for a file
    that cannot be written. The manifest is written last: without it, there is no backup.
    """
    with _snapshot(database) as connection:
        schema = VERSIONS.found(connection)
        if schema != VERSIONS.newest:
            raise SettingsError(
                f"the database in {database.place} has schema {schema!r}, and this version saves "
                f"{VERSIONS.newest!r}: make the backup with the version of the service"
            )
        issuer = select(service_facts.c.value).where(service_facts.c.name == "issuer")
        manifest = Manifest(
            version=version,
            schema=schema,
            made_at=made_at,
            issuer=connection.execute(issuer).scalar_one_or_none(),
            tables={table.name: _write_table(connection, folder, table.name) for table in TABLES},
            wrapping_key=wrapping_key,
        )
    with written(folder / MANIFEST, "manifest", may_replace=False) as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    return manifest


@contextmanager
def _snapshot(database: Database) -> Iterator[Connection]:
    """Yield a connection all of whose statements see the database at one moment."""
    with database.reading() as connection, unhurried(connection):
        if connection.dialect.name == "postgresql":
            if connection.in_transaction():
                connection.rollback()
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield connection


def _write_table(connection: Connection, folder: Path, name: str) -> TableFile:
    """Write the rows of a table into a file of its own."""
    [table] = [table for table in TABLES if table.name == name]
    file, count = f"{name}.jsonl", 0
    with written(folder / file, "backup", may_replace=False) as stream:
        hashed = Hashed(stream)
        for row in connection.execute(_query(name), execution_options={"yield_per": _ROWS}):
            hashed.write(line_of(_without_secret(row)))
            count += 1
        sha256 = hashed.hexdigest()
    return TableFile(file, tuple(map(str, table.columns.keys())), bytes_columns(table), count, sha256)


def _without_secret(row: Row[Any]) -> list[Any]:
    """Return the values of a row without the encrypted key in it, of a root key or a registration."""
    values = row._asdict()
    if "wrapped_secret" in values:
        values["wrapped_secret"] = b""
    if values.get("kind") == "registered":
        values["content"] = bounds_alone(bytes(values["content"]))
    return list(values.values())


def _query(name: str) -> Select[Any]:
    [table] = [table for table in TABLES if table.name == name]
    query = select(table)
    if table is expiring_records:
        query = query.where(expiring_records.c.kind.in_(KEPT_RECORDS))
    if table is service_facts:
        query = query.where(service_facts.c.name == "issuer")  # others are about this one database
    return query
