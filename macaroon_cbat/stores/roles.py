"""Rights of PostgreSQL's roles: the service needs rows, and only the job that upgrades needs tables."""

from collections.abc import Iterable

from sqlalchemy import Connection, text

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.stores.schema import schema

RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")
"""The rights of the service in each of its tables. It may not even change the version of the schema."""

_LACKING = text(
    "SELECT string_agg(DISTINCT one, ', ') FROM unnest(CAST(:tables AS text[])) AS one, "
    "unnest(CAST(:rights AS text[])) AS wanted WHERE NOT has_table_privilege(one, wanted)"
)


def grant_rows(writer: Connection, roles: Iterable[str]) -> None:
    """Let these roles read and change rows in every table of the service, and nothing else.

    Raises SettingsError for a role that the server does not have.
    """
    quote = writer.dialect.identifier_preparer.quote_identifier
    place = quote(writer.execute(text("SELECT current_schema()")).scalar_one())
    tables = ", ".join(f"{place}.{quote(table.name)}" for table in schema.sorted_tables)
    for role in roles:
        known = text("SELECT 1 FROM pg_roles WHERE rolname = :role")
        if writer.execute(known, {"role": role}).one_or_none() is None:
            raise SettingsError(
                f"the server has no role {role!r}: make it with CREATE ROLE, then grant to it"
            )
        named = quote(role)
        for rights, what in (
            ("USAGE", f"SCHEMA {place}"),
            (", ".join(RIGHTS), tables),
            ("SELECT", f"{place}.alembic_version"),
        ):
            writer.exec_driver_sql(f"GRANT {rights} ON {what} TO {named}".replace("%", "%%"))


def lacking(connection: Connection, place: str) -> str | None:
    """Return which tables the role of this connection may not use as the service does, or None."""
    tables = [table.name for table in schema.sorted_tables]
    found = connection.execute(_LACKING, {"tables": tables, "rights": list(RIGHTS)}).scalar_one_or_none()
    if found is None:
        return None
    role = connection.execute(text("SELECT current_user")).scalar_one()
    return (
        f"the role {role} may not use every table of the database in {place} ({found}): run macaroon-cbat "
        f"database upgrade --grant-to {role} as the role that owns the tables"
    )
