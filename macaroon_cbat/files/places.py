"""Refusal of places where another user could put something else, as OpenSSH's StrictModes does it."""

import errno
import grp
import os
import pwd
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from macaroon_cbat.errors import SettingsError

_MOST_LINKS = 40
_ACL = "system.posix_acl_access"
_KERNELS_OWN = "/proc/"


def refuse_replaceable(file: Path, what: str) -> None:
    """Raise SettingsError when another user can change what the name leads to, OSError for what is missing.

    Every folder from the root, every symbolic link and the file belong to this process's user or to root.
    Others write no folder, except where the sticky bit keeps them from the entries that are not theirs.
    """
    for path, found in _way_to(file):
        refuse_other_owner(found, path, file, what)
        if stat.S_ISDIR(found.st_mode) and not found.st_mode & stat.S_ISVTX:
            refuse_shared(found, path, file, what)


def refuse_other_owner(found: os.stat_result, path: Path, file: Path, what: str) -> None:
    """Raise SettingsError unless what was found at the path belongs to this process's user or to root."""
    user = os.geteuid()
    if found.st_uid in (user, 0):
        return
    if path in (file, file.absolute()):
        raise SettingsError(
            f"the {what} {file} belongs to another user (uid {found.st_uid}): "
            f"chown {user} {file} if what it holds is to be trusted"
        )
    raise SettingsError(
        f"the {what} {file} can be replaced by another user (uid {found.st_uid}, who owns {path}): "
        f"chown {user} {path}, or keep it elsewhere"
    )


def refuse_shared(found: os.stat_result, folder: Path, file: Path, what: str) -> None:
    """Raise SettingsError for a folder that others can write, or its group, unless that is the user's own."""
    mode = stat.S_IMODE(found.st_mode)
    if mode & stat.S_IWOTH:
        others, bits = "every user of this machine", "go-w"
    elif mode & stat.S_IWGRP and not _is_own_group(found.st_gid, folder):
        others, bits = f"the group {found.st_gid}", "g-w"
    else:
        return
    raise SettingsError(
        f"the {what} {file} can be replaced by {others} (mode {mode:04o} of {folder}): "
        f"chmod {bits} {folder}, or keep it in a folder that no other user can write"
    )


def granted_by_acl(file: int | Path) -> bool:
    """Tell whether an access control list (POSIX.1e) lets a further user or group use the file.

    systemd grants a service its credentials so: entries for this process's user and for root are none.
    """
    names_user, names_group, every = 0x02, 0x08, 7
    acl = _acl_of(file)
    for at in range(4, len(acl), 8):  # after the version: tag, permissions, id
        tag, permissions = (int.from_bytes(acl[at + n : at + n + 2], "little") for n in (0, 2))
        who = int.from_bytes(acl[at + 4 : at + 8], "little")
        is_other = tag == names_group or (tag == names_user and who not in (os.geteuid(), 0))
        if is_other and permissions & every:
            return True
    return False


def _acl_of(file: int | Path) -> bytes:
    if sys.platform != "linux":
        return b""
    try:
        return os.getxattr(file, _ACL)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return b""
        raise


def _is_own_group(group_id: int, folder: Path) -> bool:
    """Tell whether the group is the user's private one, with which Ubuntu and Fedora use the umask 002.

    Root has none. A group that the user database does not know, as for a `fsGroup` at random, is none either.
    """
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(group_id)
    except KeyError:
        return False
    return (
        user.pw_gid == group_id != 0
        and group.gr_name == user.pw_name
        and {*group.gr_mem} <= {user.pw_name}
        and {other.pw_name for other in pwd.getpwall() if other.pw_gid == group_id} <= {user.pw_name}
        and not _acl_of(folder)  # with a list the group's bits are the most that anybody in it may
    )


def _way_to(file: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield every folder and link from the root on, and at last the file, as the kernel finds them."""
    at, ahead, links = Path("/"), [*reversed(file.absolute().parts[1:])], 0
    yield at, at.lstat()
    while ahead:
        name = ahead.pop()
        if name == "..":
            at = at.parent
            continue
        path = at / name
        found = path.lstat()
        yield path, found
        if not stat.S_ISLNK(found.st_mode):
            at = path
            continue
        if str(at).startswith(_KERNELS_OWN):
            return  # /dev/stdin and the like: a descriptor that this process was given
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(file))
        target = path.readlink()
        at = Path("/") if target.is_absolute() else at
        ahead += reversed([part for part in target.parts if part != "/"])
