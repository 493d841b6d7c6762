"""Refusal of files with secrets that other users of the machine can read or replace."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.places import granted_by_acl, refuse_other_owner, refuse_replaceable

_BEYOND_READING_BY_GROUP = 0o037
_BEYOND_OWNER = 0o077


def open_private(file: Path, what: str, *, group_may_read: bool = True) -> BinaryIO:
    """Return the file, open, or raise SettingsError when another user can read, write or replace it.

    The file's group may read it where an orchestrator mounts it so, as Kubernetes does for `fsGroup` (0440);
    `group_may_read=False` is for files that this package writes itself. Raises OSError for a missing file.
    What is checked is what is read.
    """
    refuse_replaceable(file, what)
    stream = file.open("rb")
    try:
        found = os.fstat(stream.fileno())
        if stat.S_ISREG(found.st_mode):
            refuse_other_owner(found, file, file, what)
            _refuse_mode(found, file, what, group_may_read=group_may_read)
            _refuse_acl(stream, file, what)
    except BaseException:
        stream.close()
        raise
    return stream


def _refuse_mode(found: os.stat_result, file: Path, what: str, *, group_may_read: bool) -> None:
    if found.st_mode & (_BEYOND_READING_BY_GROUP if group_may_read else _BEYOND_OWNER):
        raise SettingsError(
            f"the {what} {file} can be used by others (mode {stat.S_IMODE(found.st_mode):04o}): "
            f"chmod 600 {file}, and replace what it holds if other users of this machine are not trusted"
        )


def _refuse_acl(stream: BinaryIO, file: Path, what: str) -> None:
    """Refuse what is granted beyond the mode; without bits for the group a list grants nothing."""
    if os.fstat(stream.fileno()).st_mode & stat.S_IRWXG and granted_by_acl(stream.fileno()):
        raise SettingsError(
            f"the {what} {file} can be used by others (its access control list): "
            f"setfacl -b {file}, and replace what it holds if they are not trusted"
        )
