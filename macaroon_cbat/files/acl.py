"""POSIX.1e access control lists of files, as Linux keeps them in an extended attribute."""

import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

_ATTRIBUTE = "system.posix_acl_access"
_NAMED_USER, _GROUP, _NAMED_GROUP, _MASK = 0x02, 0x04, 0x08, 0x10
_EVERY = 7


def has_acl(file: int | Path) -> bool:
    """Return True if the file has a list, which says more than its mode."""
    return bool(_acl_of(file))


def grants_others(file: int | Path) -> bool:
    """Return True if a list lets another user or group use the file.

    Entries for this process's user and for root do not count: systemd grants a service its credentials so.
    """
    return any(
        permissions & _EVERY
        and (tag == _NAMED_GROUP or (tag == _NAMED_USER and who not in (os.geteuid(), 0)))
        for tag, permissions, who in _entries(file)
    )


def group_permissions(file: int | Path, mode: int) -> int:
    """Return the permissions of the file's group, 0 to 7; with a list, the bits of the mode are its mask."""
    granted = {tag: permissions for tag, permissions, _ in _entries(file) if tag in (_GROUP, _MASK)}
    of_mode = (mode & stat.S_IRWXG) >> 3
    return granted.get(_GROUP, of_mode) & granted.get(_MASK, _EVERY) & of_mode


def _entries(file: int | Path) -> Iterator[tuple[int, int, int]]:
    """Yield tag, permissions and id of each entry, which follow four bytes of version."""
    acl = _acl_of(file)
    for at in range(4, len(acl), 8):
        tag, permissions = (int.from_bytes(acl[at + n : at + n + 2], "little") for n in (0, 2))
        yield tag, permissions, int.from_bytes(acl[at + 4 : at + 8], "little")


def _acl_of(file: int | Path) -> bytes:
    if sys.platform != "linux":
        return b""
    try:
        return os.getxattr(file, _ATTRIBUTE)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return b""
        raise
