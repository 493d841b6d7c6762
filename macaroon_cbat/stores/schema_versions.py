"""Versions of the schema: the upgrade to the newest, and which older code works with a newer schema.

A revision that leaves older code working says so by `works_with`, the oldest revision whose code goes on
beside it: it adds tables, indexes, and columns that may be left out. The database keeps the answer for all of
its revisions together, so that code which does not know the newest of them can read it.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, delete, insert, select

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.stores.schema import service_facts

_WORKS_WITH = "schema works with"
"""The name of the fact: the oldest revision whose code works with the schema."""

_OLDER = (
    "the database in {place} is of an older version (schema {found}): restart macaroon-cbat serve, which "
    "brings it to {newest} unless MACAROON_CBAT_DATABASE_UPGRADE is 0, or run macaroon-cbat database upgrade"
)
_NEWER = (
    "the database in {place} has schema {found!r}, which this version ({newest!r}) does not know and which "
    "does not work with it: install the newer macaroon_cbat that wrote it, or point to another database"
)


class SchemaVersions:
    """The revisions that this code knows, in the files of one folder."""

    def __init__(self, folder: Path = Path(__file__).parent / "migrations") -> None:
        """Read the folder at the first use."""
        self._folder = folder

    @property
    def newest(self) -> str:
        """The revision that this code is written for."""
        return self.known[-1]

    @property
    def known(self) -> list[str]:
        """The revisions that this code knows, the newest last."""
        return list(self._works_with)

    def found(self, connection: Connection) -> str | None:
        """Return the revision of a database, or None if it has no tables of the service."""
        return MigrationContext.configure(connection).get_current_revision()

    def mistake(self, connection: Connection, found: str, place: str) -> str | None:
        """Return why this code cannot work with a database of that revision, or None."""
        if found == self.newest:
            return None
        if found in self._works_with:
            return _OLDER.format(place=place, found=found, newest=self.newest)
        query = select(service_facts.c.value).where(service_facts.c.name == _WORKS_WITH)
        if connection.execute(query).scalar_one_or_none() in self._works_with:
            return None
        return _NEWER.format(place=place, found=found, newest=self.newest)

    def upgrade(self, writer: Connection, place: str) -> None:
        """Bring the schema to the newest revision in a writer's transaction.

        Leaves a newer schema that works with this code as it is. Raises SettingsError for another newer one.
        """
        found = self.found(writer)
        if found is not None and found not in self._works_with:
            if mistake := self.mistake(writer, found, place):
                raise SettingsError(mistake)
            return
        self.bring(writer, self.newest)
        writer.execute(delete(service_facts).where(service_facts.c.name == _WORKS_WITH))
        writer.execute(insert(service_facts).values(name=_WORKS_WITH, value=self._oldest_code()))

    def bring(self, writer: Connection, revision: str) -> None:
        """Bring the schema to this revision, as its code left it."""
        configuration = self._configuration()
        configuration.attributes["connection"] = writer
        command.upgrade(configuration, revision)

    def _oldest_code(self) -> str:
        """Return the oldest revision whose code works with every revision up to the newest."""
        order = self.known
        return order[max(order.index(oldest) for oldest in self._works_with.values())]

    @cached_property
    def _works_with(self) -> dict[str, str]:
        """The oldest code that works with each revision, the newest revision last."""
        script = ScriptDirectory.from_config(self._configuration())
        revisions = [*script.walk_revisions()][::-1]
        return {one.revision: _of(one.module, one.revision) for one in revisions}

    def _configuration(self) -> Config:
        configuration = Config()
        configuration.set_main_option("script_location", str(self._folder).replace("%", "%%"))
        return configuration


def _of(module: Any, revision: str) -> str:
    found: str = getattr(module, "works_with", revision)
    return found


VERSIONS = SchemaVersions()
"""The revisions of this package."""
