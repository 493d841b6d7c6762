"""Refusal of files with secrets that other users of the machine can read or replace."""

import errno
import os
import select
import stat
from pathlib import Path
from typing import BinaryIO

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.acl import grants_others, group_permissions
from macaroon_cbat.files.groups import is_own_group
from macaroon_cbat.files.notices import warn_once
from macaroon_cbat.files.places import refuse_other_owner, refuse_replaceable

_WRITE_OR_RUN = 3
PIPE_SECONDS = 30
"""Seconds for which a named pipe may have no writer: one that was read already never has one again."""


def open_private(file: Path, what: str) -> BinaryIO:
    """Return the file, open for reading. The open file is the one that was checked.

    Raises SettingsError if another user can read, write or replace it, and OSError if it is missing. Its
    group may read it, as Kubernetes mounts files for `fsGroup` (0440): the log has one warning about that. A
    group without other users may write it too, as the kubelet makes files on a volume (0660). A named pipe
    into which no process writes is an OSError: a signal could not end the wait for one.
    """
    refuse_replaceable(file, what)
    stream = open(file, "rb", opener=_open_at_once)  # noqa: SIM115 # Path.open takes no opener
    try:
        found = os.fstat(stream.fileno())
        if stat.S_ISFIFO(found.st_mode):
            _await_writer(stream)
        os.set_blocking(stream.fileno(), True)
        if stat.S_ISREG(found.st_mode):
            refuse_other_owner(found, file, file, what)
            _refuse_acl(stream, file, what)
            _refuse_mode(found, group_permissions(stream.fileno(), found.st_mode), file, what)
    except BaseException:
        stream.close()
        raise
    return stream


def _open_at_once(name: str, flags: int) -> int:
    """Open the file without waiting for the writer of a named pipe."""
    return os.open(name, flags | os.O_NONBLOCK)


def _await_writer(pipe: BinaryIO) -> None:
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    if not poll.poll(PIPE_SECONDS * 1000):
        raise TimeoutError(errno.ETIMEDOUT, "no process writes into this pipe")


def _refuse_mode(found: os.stat_result, group: int, file: Path, what: str) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if mode & stat.S_IRWXO or (group & _WRITE_OR_RUN and not is_own_group(found.st_gid)):
        raise SettingsError(
            f"the {what} {file} can be used by others (mode {mode:04o}): "
            f"{_remedy(found, file)}, and replace what it holds if other users of this machine are not "
            "trusted"
        )
    if group:
        warn_once(
            f"the {what} {file} can be read by the group {found.st_gid} (mode {mode:04o}): "
            f"{_remedy(found, file)} unless that group is meant to"
        )


def _remedy(found: os.stat_result, file: Path) -> str:
    """Return the command that mends the mode; after it this process must still be able to read the file."""
    user = os.geteuid()
    if found.st_uid == user:
        return f"chmod 600 {file}"
    return f"as root, chown {user} {file} and chmod 600 {file} (in a volume of Kubernetes: defaultMode: 0400)"


def _refuse_acl(stream: BinaryIO, file: Path, what: str) -> None:
    """Raise SettingsError for a list that grants more than the mode; a mode without group bits masks it."""
    if os.fstat(stream.fileno()).st_mode & stat.S_IRWXG and grants_others(stream.fileno()):
        raise SettingsError(
            f"the {what} {file} can be used by others (its access control list): "
            f"setfacl -b {file}, and replace what it holds if they are not trusted"
        )
