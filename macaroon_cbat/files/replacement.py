"""Replacement of files: a file is whole or missing, and never readable by other users."""

import errno
import fcntl
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from macaroon_cbat.files.places import destination, refuse_other_owner

_RESERVED_BYTES = 4096
_ENTERED = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_PASSED = _ENTERED | getattr(os, "O_PATH", 0)  # a folder that may be passed through, and not be listed
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def replace_file(file: Path, content: Iterable[bytes], mode: int = 0o600, *, what: str = "file") -> None:
    """Replace the content of a file. A reader meanwhile finds the old content or the new one.

    Raises what `written` raises.
    """
    with written(file, what, may_replace=True, mode=mode) as stream:
        stream.writelines(content)


@contextmanager
def written(file: Path, what: str, *, may_replace: bool, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Let the block write the file that the name leads to; if the block raises, the file stays as it was.

    Links are followed, and the file behind them is replaced. The new file never has the name with another
    mode; it is fsynced before the rename, and its folder after it. The file must not exist unless
    `may_replace` is true: an empty one keeps its name until the block ends. Devices, pipes and open
    descriptors are written through. Before the block, raises OSError for a file that cannot be written,
    FileExistsError for one that exists, and SettingsError as `destination` does.
    """
    end = destination(file, what, is_private=not mode & 0o077)
    own = _own_descriptor(end)
    if own is not None:
        with os.fdopen(_copy_of(own), "wb") as stream:
            yield stream
    elif _is_to_be_file(end):
        with _folder(end) as folder, _taken(folder, end, may_replace), _draft(folder, end, mode) as stream:
            yield stream
    else:
        with os.fdopen(_device(end, file, what, is_private=not mode & 0o077), "wb") as stream:
            yield stream


def _own_descriptor(end: Path) -> int | None:
    """Return the descriptor of this process that a name such as /dev/stdout stands for, else None.

    Opened by its name, a file that standard output is redirected to would be overwritten from its beginning.
    """
    named = re.fullmatch(rf"(?:/dev|/proc/{os.getpid()})/fd/([0-9]{{1,9}})", str(end))
    return None if named is None else int(named[1])


def _copy_of(descriptor: int) -> int:
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, "it is open for reading only")
    return os.dup(descriptor)


def _is_to_be_file(end: Path) -> bool:
    try:
        return stat.S_ISREG(end.lstat().st_mode)
    except FileNotFoundError:
        return True


def _device(end: Path, file: Path, what: str, *, is_private: bool) -> int:
    """Open a character device or a pipe; a block device is refused.

    The open descriptor is checked, not the name. It must belong to this user or root for private content:
    another user could put a pipe there and read along.
    """
    with _folder(end) as folder:
        is_given = end.is_relative_to("/proc")  # a descriptor of another process, which is always a link
        no_link = 0 if is_given else os.O_NOFOLLOW
        descriptor = os.open(end.name, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY | no_link, dir_fd=folder)
    try:
        found = os.fstat(descriptor)
        if not (stat.S_ISCHR(found.st_mode) or stat.S_ISFIFO(found.st_mode)):
            raise OSError(errno.EINVAL, "it is neither a file, a pipe nor a character device")
        if is_private:
            refuse_other_owner(found, end, file, what)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def _folder(end: Path) -> Iterator[int]:
    """Open the folder without following links: only another user can have put one into its path since."""
    folders = end.parent.parts
    descriptor = os.open(folders[0], _PASSED if len(folders) > 1 else _ENTERED)
    try:
        for at, name in enumerate(folders[1:], 2):
            before = descriptor
            descriptor = os.open(name, _ENTERED if at == len(folders) else _PASSED, dir_fd=before)
            os.close(before)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _taken(folder: int, end: Path, may_replace: bool) -> Iterator[None]:  # noqa: FBT001 # forwarded as it came
    """Reserve a name that must be free: of two processes, one is refused. An error frees the name again."""
    if may_replace:
        refuse_mounted(end)
        yield
        return
    descriptor = os.open(end.name, _NEW, 0o600, dir_fd=folder)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            if os.path.samestat(
                os.fstat(descriptor), os.stat(end.name, dir_fd=folder, follow_symlinks=False)
            ):
                os.unlink(end.name, dir_fd=folder)
        raise
    finally:
        os.close(descriptor)


@contextmanager
def _draft(folder: int, end: Path, mode: int) -> Iterator[BinaryIO]:
    """Make a file beside the old one that replaces it at the end; an error removes the new file."""
    name = f".macaroon_cbat.{secrets.token_hex(8)}"
    descriptor = os.open(name, _NEW, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _reserve(descriptor)
            yield stream
            stream.truncate()
            os.fchmod(descriptor, mode)
            _keep_group(descriptor, folder, end, mode)
            os.fsync(descriptor)
        os.rename(name, end.name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
        raise


def _reserve(descriptor: int) -> None:
    """Raise OSError for a full disk before the block does anything that would have to be undone."""
    if sys.platform != "linux":
        return
    try:
        os.posix_fallocate(descriptor, 0, _RESERVED_BYTES)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise


def _keep_group(descriptor: int, folder: int, end: Path, mode: int) -> None:
    """Keep the group of the old file if it could read that file and no more: it is that of another service.

    A file of another user is ignored: it may have been put there after the name was checked.
    """
    try:
        old = os.stat(end.name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if old.st_uid in (os.geteuid(), 0) and old.st_mode & 0o077 == stat.S_IRGRP:
        with suppress(PermissionError):
            os.fchown(descriptor, -1, old.st_gid)
            os.fchmod(descriptor, mode | stat.S_IRGRP)


def refuse_mounted(end: Path, mounts: Path = Path("/proc/self/mountinfo")) -> None:
    """Raise OSError for a file that is mounted by itself, as in containers: it cannot be replaced."""
    escaped = re.sub(rb"[ \t\n\\]", lambda one: b"\\%03o" % one[0][0], os.fsencode(end))
    with suppress(FileNotFoundError):
        if any(line.split()[4] == escaped for line in mounts.read_bytes().splitlines()):
            raise OSError(errno.EBUSY, "it is mounted by itself and cannot be replaced: mount its folder")
