"""Migrations of a database to a revision."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from macaroon_cbat import stores as package
from macaroon_cbat.stores import Database


def migrate(url: str, revision: str) -> None:
    """Bring a database to an older schema, as the older version did."""
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(package.__file__).parent / "migrations"))
    database = Database(url)
    with database.writing() as connection:
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, revision)
    database.close()
