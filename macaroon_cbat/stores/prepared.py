"""Statements of the hot paths: compiled once, and run by the driver without the layers above it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, PoolProxiedConnection, Select, Update


class Prepared:
    """A SELECT or UPDATE whose every value has a name. Its rows are tuples with the names of its columns.

    Values and columns are as the driver takes and gives them: text, numbers, bytes or NULL.
    """

    __slots__ = ("_compiled", "_gives_rows", "_named", "_statement")

    def __init__(self, statement: Select[Any] | Update) -> None:
        """Take the statement, and compile it at its first use."""
        self._statement = statement
        self._compiled: dict[str, tuple[str, list[str] | None]] = {}
        self._gives_rows = isinstance(statement, Select)
        columns = statement.selected_columns if isinstance(statement, Select) else ()
        fields = [(column.name, object) for column in columns]
        self._named: Any = NamedTuple("Row", fields)._make

    def rows(
        self, connection: PoolProxiedConnection, dialect: Dialect, values: Mapping[str, object]
    ) -> list[Any]:
        """Return every row for these values; an UPDATE has none. Raises the errors of the driver."""
        text, places = self._compiled.get(dialect.name) or self._compile(dialect)
        cursor = connection.cursor()
        try:
            cursor.execute(text, values if places is None else [values[name] for name in places])
            return [self._named(row) for row in cursor.fetchall()] if self._gives_rows else []
        finally:
            cursor.close()

    def within(self, connection: Connection, values: Mapping[str, object]) -> list[Any]:
        """Return every row for these values, as the transaction of a connection sees them."""
        return self.rows(connection.connection, connection.dialect, values)

    def _compile(self, dialect: Dialect) -> tuple[str, list[str] | None]:
        """Return the text for this kind of database, and the order of the values if it has no names."""
        compiled = self._statement.compile(dialect=dialect)
        places: list[str] | None = getattr(compiled, "positiontup", None)
        self._compiled[dialect.name] = str(compiled), places
        return self._compiled[dialect.name]
