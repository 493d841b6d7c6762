"""The restoration of a backup into an empty database, in which nothing that was issued before is valid."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import MsgspecError
from sqlalchemy import Connection, Integer, MetaData, Table, delete, func, insert, inspect, select, update
from sqlalchemy.exc import CompileError, DataError, IntegrityError

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.revocation import Revocation
from macaroon_cbat.stores.backup_format import Hashed, Manifest, TableFile, row_of
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.every_token import revoke_every_token
from macaroon_cbat.stores.postgresql import unhurried
from macaroon_cbat.stores.repeated import AuditLine, Repeated, repeat
from macaroon_cbat.stores.revocations import record
from macaroon_cbat.stores.schema import root_keys, schema, service_facts
from macaroon_cbat.stores.schema_versions import VERSIONS
from macaroon_cbat.stores.stores import RESTORED_AT

_ROWS = 1000
"""Rows that are inserted at once."""
_TOO_LARGE = 1 << 63


def restore_backup(
    database: Database,
    folder: Path,
    manifest: Manifest,
    clock: Callable[[], EpochSeconds],
    *,
    lasting: int,
    since: Iterable[AuditLine],
    before_commit: Callable[[], None],
) -> Repeated:
    """Fill an empty database with a backup, all or nothing, and revoke every token so far.

    The root keys are retired, and the feed of revocations begins again for every follower. The events `since`
    the backup are repeated, and returned. An error of `before_commit` restores nothing. Raises SettingsError
    for a database that is not empty, and for a backup that is damaged or of a newer version.
    """
    with database.writing(is_migration=True) as connection, unhurried(connection):
        tables = _prepared(connection, manifest.schema, database.place)
        for name, one in manifest.tables.items():
            _fill(connection, tables[name], folder / one.file, one)
        VERSIONS.upgrade(connection, database.place)
        now = clock()
        _retire_root_keys(connection, now, lasting)
        repeated = repeat(connection, since, now, lasting=lasting)
        revoke_every_token(connection, now, lasting)
        _begin_anew(connection, now)
        before_commit()
    return repeated


def _prepared(connection: Connection, wanted: str, place: str) -> dict[str, Table]:
    """Return the empty tables of the backup's schema, made if there are none."""
    if wanted not in VERSIONS.known:
        raise SettingsError(
            f"the backup has schema {wanted!r}, which this version does not know: install the newer "
            "macaroon_cbat that wrote it"
        )
    found = VERSIONS.found(connection)
    if found is None and not inspect(connection).get_table_names():
        VERSIONS.bring(connection, wanted)
    elif found != wanted or not _is_empty(connection):
        raise SettingsError(
            f"the database in {place} is not empty: name a new one, or move this one away, since nothing is "
            "restored over a database"
        )
    if wanted == VERSIONS.newest:
        return dict(schema.tables)
    older = MetaData()
    older.reflect(connection)
    return dict(older.tables)


def _is_empty(connection: Connection) -> bool:
    tables = [table for table in schema.tables.values() if table is not service_facts]
    counts = [select(func.count()).select_from(table) for table in tables]
    return not any(connection.execute(count).scalar_one() for count in counts)


def _fill(connection: Connection, table: Table, file: Path, one: TableFile) -> None:
    """Insert the rows in the file. Raises SettingsError if they are not those of the manifest."""
    rows: list[dict[str, object]] = []
    count = 0
    try:
        with open_private(file, "file of the backup") as stream:
            hashed = Hashed(stream)
            for line in hashed:
                rows.append(_checked(row_of(line, one), table))
                count += 1
                if len(rows) >= _ROWS:
                    connection.execute(insert(table), rows)
                    rows = []
            if rows:
                connection.execute(insert(table), rows)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read ({error.strerror}): take another backup") from error
    except (ValueError, KeyError, MsgspecError, CompileError, DataError, IntegrityError) as error:
        raise _damaged(file) from error
    if (count, hashed.hexdigest()) != (one.rows, one.sha256):
        raise _damaged(file)


def _checked(row: dict[str, object], table: Table) -> dict[str, object]:
    """Return the row, or raise ValueError for a value of another type: SQLite would take it."""
    for name, value in row.items():
        is_number = isinstance(table.columns[name].type, Integer)
        if value is not None and is_number != isinstance(value, int):
            raise ValueError(f"{name} has another type")
        if isinstance(value, int) and abs(value) >= _TOO_LARGE:
            raise ValueError(f"{name} is too large")
    return row


def _damaged(file: Path) -> SettingsError:
    return SettingsError(
        f"{file} is not what the manifest says: it is damaged or changed, take another backup"
    )


def _retire_root_keys(connection: Connection, now: EpochSeconds, lasting: int) -> None:
    """Retire every root key, and let the feed say so: resource servers may have their keys."""
    is_live = root_keys.c.state != "retired"
    for kid in connection.execute(select(root_keys.c.kid).where(is_live)).scalars().all():
        decision = Revocation(kind="key", value=kid, revoked_at=now, expires_at=now + lasting)
        record(connection, decision)
    retired = {"state": "retired", "since": now, "wrapped_secret": b""}
    connection.execute(update(root_keys).where(is_live).values(retired))


def _begin_anew(connection: Connection, now: EpochSeconds) -> None:
    """Give the database another name, so that no cursor fits, and record when it was restored."""
    facts = {"instance": os.urandom(16).hex(), RESTORED_AT: str(int(now))}
    connection.execute(delete(service_facts).where(service_facts.c.name.in_(facts)))
    connection.execute(insert(service_facts), [{"name": name, "value": facts[name]} for name in facts])
