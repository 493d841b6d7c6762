"""The file of an SQLite database that a process has opened: another one in its place is another database."""

import os
import sqlite3
from pathlib import Path

REPLACED = "the file was replaced or moved away while it was in use"


class FileInUse:
    """The file that a process and its children use.

    SQLite goes on with a file that was moved away or removed. What others write into the new one, such as a
    revocation after a restore, would never be seen.
    """

    def __init__(self, file: Path | None) -> None:
        """Begin without a file that is open; None is a database on a server, which is never replaced."""
        self._path = None if file is None else str(file)
        self._opened: tuple[int, int] | None = None

    @property
    def is_known(self) -> bool:
        """True once the file was opened."""
        return self._opened is not None

    def begin(self) -> None:
        """Use the file from now on, which was just opened.

        Raises an error of the driver if another one is in use.
        """
        if self._opened is None:
            self._opened = self._found()
        elif self.is_replaced():
            raise sqlite3.OperationalError(REPLACED)

    def is_replaced(self) -> bool:
        """Return True if another file is in the place of the one in use, or none."""
        return self._opened is not None and self._opened != self._found()

    def _found(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path or "")  # noqa: PTH116 # each use of the database asks it
        except OSError:
            return None
        return found.st_dev, found.st_ino
