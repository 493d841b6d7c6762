"""SQLite databases that this process may not write, such as a backup on a read-only volume."""

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote


class ReadOnlyConnection(sqlite3.Connection):
    """A connection that writes nothing, not even a file beside the database."""


def is_read_only(file: Path) -> bool:
    """Return True if this process may not write the database, or make files beside it."""
    return file.exists() and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


def connect_read_only(file: Path, options: dict[str, Any]) -> ReadOnlyConnection:
    """Open a database for reading alone, in a command that ends soon.

    If there is a write-ahead log, another process may be writing, and SQLite reads its shared memory as
    well. If there is none, nothing is being written, and SQLite is told so: else it would make these files.
    A long-lived process would not see what others write later.
    """
    has_log = file.with_name(file.name + "-wal").exists()
    uri = f"file:{quote(str(file.absolute()))}?mode=ro{'' if has_log else '&immutable=1'}"
    connection: ReadOnlyConnection = sqlite3.connect(
        uri, **(options | {"uri": True, "factory": ReadOnlyConnection})
    )
    return connection
