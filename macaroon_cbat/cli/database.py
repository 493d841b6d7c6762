"""`macaroon-cbat database ...`: the schema, for the operator's jobs. They need no wrapping key."""

from pathlib import Path

import click

from macaroon_cbat.cli.groups import Group
from macaroon_cbat.cli.options import data_option, say
from macaroon_cbat.cli.which_database import named_url
from macaroon_cbat.stores import Database, sqlite_file
from macaroon_cbat.stores.schema_versions import VERSIONS
from macaroon_cbat.stores.upgrades import mistake, upgrade


@click.group(cls=Group)
def database() -> None:
    """Prepare the schema of the database by a job, and check it."""


@database.command("upgrade", short_help="Make the tables, or bring them to this version.")
@data_option
@click.option(
    "--grant-to", "roles", metavar="ROLE", multiple=True, help="Let ROLE use the rows, as a service does."
)
def upgrade_command(data: Path | None, roles: tuple[str, ...]) -> None:
    """Make the tables, or bring older ones to the schema of this version. Running services go on.

    On PostgreSQL, run it as the role that owns the tables, and name the service's own role with --grant-to:
    then a service with MACAROON_CBAT_DATABASE_UPGRADE=0 has rights to rows alone. Jobs that start at once
    take turns.
    """
    there = Database(named_url(data, creates=True))
    try:
        if roles and sqlite_file(there.engine.url) is not None:
            raise click.UsageError("SQLite has no roles: leave --grant-to out")
        before = upgrade(there, grant_to=roles)
    finally:
        there.close()
    said = {None: "is new", VERSIONS.newest: "was there"}.get(before, f"was {before} before")
    say(f"the database in {there.place} has schema {VERSIONS.newest}, which {said}")
    for role in roles:
        say(f"the role {role} may use its rows")


@database.command(short_help="Tell whether a service of this version can work.")
@data_option
def check(data: Path | None) -> None:
    """Tell whether a service of this version can work with the database; exit status 1 says that it cannot.

    It changes nothing. It needs the tables of this version, or newer ones that say they work with it, and
    the rights of the role that the database URL names.
    """
    there = Database(named_url(data, creates=False), is_for_a_command=True)
    try:
        reason = mistake(there)
    finally:
        there.close()
    if reason is not None:
        say(reason, err=True)
        click.get_current_context().exit(1)
    say(f"the database in {there.place} is ready for this version (schema {VERSIONS.newest})")
