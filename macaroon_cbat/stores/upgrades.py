"""The schema of a database, checked and brought to the newest version: by the service, or by a job for it."""

from collections.abc import Iterable

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.stores.database import Database, is_missing, no_database
from macaroon_cbat.stores.postgresql import unhurried
from macaroon_cbat.stores.roles import grant_rows, lacking
from macaroon_cbat.stores.schema_versions import VERSIONS, SchemaVersions
from macaroon_cbat.stores.sqlite import sqlite_file

_NOT_ALLOWED = "42501"
"""The SQLSTATE of a role that lacks a right."""


def upgrade(
    database: Database, versions: SchemaVersions = VERSIONS, *, grant_to: Iterable[str] = ()
) -> str | None:
    """Bring the schema to the newest version, and let these roles use its rows, all or nothing.

    Returns the version that was found, or None if there were no tables. A second upgrade waits for the first.
    Raises SettingsError if the schema is newer and does not work with this code, and for a role that may not
    change it. Raises Unavailable.
    """
    roles = tuple(grant_to)
    with database.reading() as connection:
        found = versions.found(connection)
    if found == versions.newest and not roles:
        return found
    try:
        with database.writing(is_migration=True) as writer:
            found = versions.found(writer)
            with unhurried(writer):
                versions.upgrade(writer, database.place)
            if roles:
                grant_rows(writer, roles)
    except Unavailable as error:
        if getattr(getattr(error.__cause__, "orig", None), "sqlstate", None) != _NOT_ALLOWED:
            raise
        raise SettingsError(
            f"{error}; this version needs schema {versions.newest}: run macaroon-cbat database upgrade as "
            "the role that owns the tables, or may make them"
        ) from error
    return found


def mistake(
    database: Database, versions: SchemaVersions = VERSIONS, *, is_for_a_command: bool = False
) -> str | None:
    """Return why this version cannot work with a database, or None; change nothing. Raises Unavailable.

    A command may have fewer rights than the service, which needs to change rows in every table.
    """
    file = sqlite_file(database.engine.url)
    if file is not None and is_missing(file):
        return str(no_database(database.place))
    with database.reading() as connection:
        found = versions.found(connection)
        if found is None:
            return str(no_database(database.place))
        reason = versions.mistake(connection, found, database.place)
        if reason is None and connection.dialect.name == "postgresql" and not is_for_a_command:
            reason = lacking(connection, database.place)
    return reason


def refuse_mistake(database: Database, *, is_for_a_command: bool = False) -> None:
    """Raise SettingsError unless this version can work with the database. Raises Unavailable."""
    if reason := mistake(database, is_for_a_command=is_for_a_command):
        raise SettingsError(reason)
