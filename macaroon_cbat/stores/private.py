"""The private files of an SQLite database, in a folder that no other user can write."""

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.places import refuse_other_owner, refuse_replaceable, refuse_shared

log = logging.getLogger("macaroon_cbat.stores")

_MODE = 0o600
_BESIDE = ("", "-wal", "-shm", "-journal")


def refuse_foreign(named: Path) -> None:
    """Raise SettingsError if another user could have made the database, or can replace it.

    A sticky folder is not enough: SQLite makes and removes the files beside the database, so another user
    could make them first.
    """
    with suppress(FileNotFoundError, NotADirectoryError):  # SQLite explains it when it opens the file
        refuse_replaceable(named, "database")
    for file in _files(named):
        with suppress(FileNotFoundError, NotADirectoryError):
            refuse_shared(file.parent.stat(), file.parent, file, "database")
            refuse_other_owner(file.stat(), file, file, "database")


def make_private(named: Path) -> None:
    """Make a missing file with mode 0600, and give an existing one this mode.

    SQLite gives the files that it makes beside the database the same mode.
    """
    file, *_ = _files(named)
    with suppress(OSError):
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        try:
            os.fchmod(descriptor, _MODE)
        finally:
            os.close(descriptor)
    for each in _files(named):
        with suppress(FileNotFoundError, NotADirectoryError):
            _tighten(each)


def _files(named: Path) -> list[Path]:
    file = named.resolve()
    return [file.with_name(file.name + suffix) for suffix in _BESIDE]


def _tighten(file: Path) -> None:
    found = file.stat()
    if not stat.S_ISREG(found.st_mode) or not found.st_mode & 0o077:
        return
    try:
        file.chmod(_MODE)
    except PermissionError as error:
        raise SettingsError(
            f"the database {file} can be used by others (mode {stat.S_IMODE(found.st_mode):04o}): "
            f"chmod 600 {file} as its owner"
        ) from error
    log.warning(
        "the database %s could be used by others (mode %04o): it is 0600 now", file, found.st_mode & 0o777
    )
