"""Refusal of paths at which another user could put another file, as OpenSSH's StrictModes does."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.acl import has_acl
from macaroon_cbat.files.groups import is_own_group, is_private
from macaroon_cbat.files.notices import warn_once

_MOST_LINKS = 40
_KERNELS_OWN = "/proc/"
_KEPT_BY_KUBERNETES = "..data"


def refuse_replaceable(file: Path, what: str) -> None:
    """Raise SettingsError if another user can change what the name leads to, OSError if that is missing.

    Every folder from the root, every symbolic link and the file must belong to this process's user or to
    root. Other users may write none of the folders, unless the sticky bit protects the entries of others.
    """
    if "\0" in str(file):  # the system calls would raise ValueError
        raise OSError(errno.EINVAL, "its name holds a NUL", str(file))
    for path, found in _way_to(file):
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        _refuse_step(path, found, file, what)


def destination(file: Path, what: str, *, is_private: bool) -> Path:
    """Return the path behind every link at which a file is or is to be made.

    Raises OSError for a missing folder, and SettingsError for a link of another user and for a file that
    Kubernetes would restore. A private file must also belong to this user or root, and no other user may have
    been able to change a link to it. Folders behind the last link are not checked: their owner can remove a
    new file, and cannot read it.
    """
    way = [*_way_to(file)]
    links = [at for at, (_, found) in enumerate(way) if found is not None and stat.S_ISLNK(found.st_mode)]
    for at, (path, found) in enumerate(way):
        is_link, is_end = at in links, at == len(way) - 1
        if is_link and path.name == _KEPT_BY_KUBERNETES:
            raise SettingsError(
                f"the {what} {file} is kept by Kubernetes, which restores the old one: change its Secret"
            )
        if found is not None and (is_link or (is_private and (is_end or at < max(links, default=0)))):
            _refuse_step(path, found, file, what)
    return way[-1][0]


def _refuse_step(path: Path, found: os.stat_result, file: Path, what: str) -> None:
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
    """Raise SettingsError for a folder that every user can write, or a group with other users.

    The group's bits of a file with an access control list are the most that any user or group in it may do.
    """
    mode = stat.S_IMODE(found.st_mode)
    if mode & stat.S_IWOTH:
        others, bits = "every user of this machine", "go-w"
    elif mode & stat.S_IWGRP and (has_acl(folder) or not is_own_group(found.st_gid)):
        others, bits = f"the group {found.st_gid}", "g-w"
    else:
        _warn_of_number(found, folder)
        return
    raise SettingsError(
        f"the {what} {file} can be replaced by {others} (mode {mode:04o} of {folder}): "
        f"chmod {bits} {folder}, or keep it in a folder that no other user can write"
    )


def _warn_of_number(found: os.stat_result, folder: Path) -> None:
    if found.st_mode & stat.S_IWGRP and not is_private(found.st_gid):
        warn_once(
            f"the folder {folder} can be written by the group {found.st_gid}, which this process was given "
            f"by number (mode {stat.S_IMODE(found.st_mode):04o}): chmod g-w {folder} unless it is an fsGroup"
        )


def _way_to(file: Path) -> Iterator[tuple[Path, os.stat_result | None]]:
    """Yield every folder and link from the root on, and the file last, in the order of the kernel.

    The last one comes with None if it is missing. Raises OSError if an earlier one is missing.
    """
    at, ahead, links = Path("/"), [*reversed(file.absolute().parts[1:])], 0
    yield at, at.lstat()
    while ahead:
        name = ahead.pop()
        if name == "..":
            at = at.parent
            continue
        path = at / name
        try:
            found = path.lstat()
        except FileNotFoundError:
            if ahead:
                raise
            yield path, None
            return
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
