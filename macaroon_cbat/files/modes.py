"""Refusal of files with secrets that other users of the machine can read or replace."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from macaroon_cbat.errors import SettingsError

_BEYOND_READING_BY_GROUP = 0o037
_BEYOND_OWNER = 0o077


def refuse_exposed(file: Path, what: str, *, group_may_read: bool = True) -> None:
    """Raise SettingsError for a file that others can use, or in a folder where others can replace it.

    The file's group may read it where an orchestrator mounts it so, as Kubernetes does for `fsGroup` (0440);
    `group_may_read=False` is for files that this package writes itself. Raises OSError for a missing file.
    """
    _refuse_mode(file.stat(), file, what, group_may_read=group_may_read)
    folder = file.parent.stat().st_mode
    if folder & stat.S_IWOTH and not folder & stat.S_ISVTX:
        raise SettingsError(
            f"the {what} {file} can be replaced by every user of this machine: chmod o-w {file.parent}"
        )


def open_private(file: Path, what: str, *, group_may_read: bool = True) -> BinaryIO:
    """Return the file, open, or raise what `refuse_exposed` raises; what is checked is what is read."""
    refuse_exposed(file, what, group_may_read=group_may_read)
    stream = file.open("rb")
    try:
        _refuse_mode(os.fstat(stream.fileno()), file, what, group_may_read=group_may_read)
    except BaseException:
        stream.close()
        raise
    return stream


def _refuse_mode(found: os.stat_result, file: Path, what: str, *, group_may_read: bool) -> None:
    refused = _BEYOND_READING_BY_GROUP if group_may_read else _BEYOND_OWNER
    if stat.S_ISREG(found.st_mode) and found.st_mode & refused:
        raise SettingsError(
            f"the {what} {file} can be used by others (mode {stat.S_IMODE(found.st_mode):04o}): "
            f"chmod 600 {file}, and replace what it holds if other users of this machine are not trusted"
        )
