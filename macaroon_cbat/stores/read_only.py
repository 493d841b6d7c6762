"""SQLite databases in places that this process may not write, such as a backup on a read-only volume."""

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote


class ReadOnlyConnection(sqlite3.Connection):
    """A connection that writes nothing, not even beside the database."""


def is_read_only(file: Path) -> bool:
    """Return True if this process may not write the database, or make files beside it."""
    return file.exists() and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


def connect_read_only(file: Path, options: dict[str, Any]) -> ReadOnlyConnection:
    """Open a database for reading alone.

    Beside a write-ahead log another process may be writing: its shared memory is read as well. Without one
    nothing is being written, and SQLite is told so, for it would make those files first. Not for a process
    that lives on: what others write later it would not see.
    """
    has_log = file.with_name(file.name + "-wal").exists()
    uri = f"file:{quote(str(file.absolute()))}?mode=ro{'' if has_log else '&immutable=1'}"
    connection: ReadOnlyConnection = sqlite3.connect(
        uri, **(options | {"uri": True, "factory": ReadOnlyConnection})
    )
    return connection
