"""Listening Unix sockets: a file with mode and group from its first moment on, in place of a stale one."""

import grp
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from macaroon_cbat.errors import SettingsError

BACKLOG = 4096
"""Connections that may wait to be accepted; over a Unix socket the next one is refused at once."""
MODE = 0o660
"""Owner and group alone: a process that connects speaks as the proxy."""
_LONGEST_PATH = 100
"""Bytes: the kernel's limit is 107, and a draft of the name needs a few."""
_DRAFT_BYTES = 3
"""Random bytes in the name of a draft, which is 6 bytes longer than the shortest name at most."""


def is_too_long(path: Path) -> bool:
    """Return True for a path that the kernel does not take."""
    return len(os.fsencode(path)) > _LONGEST_PATH


@contextmanager
def listening_on(path: Path, *, mode: int = MODE, group: str | None = None) -> Iterator[socket.socket]:
    """Listen under this name until the block ends, which removes the file. Raises SettingsError."""
    with closing(unix_listener(path, mode=mode, group=group)) as listener:
        made = path.stat()
        try:
            yield listener
        finally:
            with suppress(OSError):
                if os.path.samestat(made, path.stat()):  # another server's by now, perhaps
                    path.unlink()


def unix_listener(path: Path, *, mode: int = MODE, group: str | None = None) -> socket.socket:
    """Return a listener under this name, in place of one at which no process listens.

    It gets mode and group before its name, and the name at once: no client finds it missing or open to all.
    Raises SettingsError for a name in use, a file that is no socket, and what the system refuses.
    """
    if is_too_long(path):
        raise SettingsError(f"{path} is too long for a Unix socket: {_LONGEST_PATH} bytes at most")
    gid = -1 if group is None else _id_of(group)
    if is_answered(path):
        raise SettingsError(f"{path} is in use: stop the other server or listen elsewhere")
    # Containers that share a volume all have a process 1, so a process number could name two drafts.
    draft = path.with_name(f".{os.urandom(_DRAFT_BYTES).hex()}")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o777)
        try:
            listener.bind(os.fspath(draft))
        finally:
            os.umask(before)
        os.chown(draft, -1, gid)
        draft.chmod(mode)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        draft.rename(path)
    except OSError as error:
        listener.close()
        with suppress(OSError):
            draft.unlink()
        raise SettingsError(
            f"{path} cannot be listened on ({error.strerror}): check the folder and the group, or listen "
            "elsewhere"
        ) from error
    return listener


def is_answered(path: Path) -> bool:
    """Return True if a process listens there. Raises SettingsError for a file that is no socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)  # a process that accepts no client any more would never answer
        try:
            if not _is_socket(path):
                return False
            asking.connect(os.fspath(path))
        except BlockingIOError:
            return True  # its queue is full
        except ConnectionRefusedError:
            return False
        except OSError as error:
            raise SettingsError(
                f"{path} cannot be connected to ({error.strerror}): check its mode and that of its folder, "
                "or listen elsewhere"
            ) from error
    return True


def _is_socket(path: Path) -> bool:
    """Return False if nothing has this name. Raises SettingsError for another kind of file, and OSError."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(mode):
        raise SettingsError(f"{path} is no socket: listen elsewhere, or remove it")
    return True


def _id_of(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise SettingsError(f"there is no group {group!r}: name the one that the proxy is in") from None
