"""Socket activation: listening sockets that the service manager made and hands over (LISTEN_FDS)."""

import os
import socket
import stat
from collections.abc import MutableMapping
from pathlib import Path

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.server.listener import prepare

_FIRST = 3
_FDS, _PID, _NAMES = "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"
_MOST = 64
MANAGEMENT = "management"
"""The name (FileDescriptorName=) of the socket of the management page."""


def handed_sockets(
    environment: MutableMapping[str, str] = os.environ,
) -> tuple[list[socket.socket], socket.socket | None]:
    """Return the listening sockets for this process, and the one named `management`; none if there are none.

    The variables are removed: a child of this process gets no sockets. Raises SettingsError for a descriptor
    that is no listening stream socket or open to every user, and for variables that are malformed.
    """
    pid, count, names = (environment.pop(name, None) for name in (_PID, _FDS, _NAMES))
    if pid != str(os.getpid()) or count is None:
        return [], None  # for another process, such as a shell that started this one
    if not (count.isascii() and count.isdigit() and int(count) <= _MOST):
        raise SettingsError(f"{_FDS} is {count[:20]!r}: let the service manager set it")
    named = (names or "").split(":")
    found, management = [], None
    for number in range(int(count)):
        sock = _listener(_FIRST + number)
        if number < len(named) and named[number] == MANAGEMENT and management is None:
            management = sock
        else:
            found.append(sock)
    return found, management


def _listener(descriptor: int) -> socket.socket:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise SettingsError(f"descriptor {descriptor} of {_FDS} is no socket: correct the socket unit")
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise SettingsError(
            f"descriptor {descriptor} of {_FDS} cannot be used ({error.strerror}): correct the socket unit"
        ) from error
    is_stream = sock.type == socket.SOCK_STREAM and sock.family in _FAMILIES
    if not is_stream or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise SettingsError(
            f"descriptor {descriptor} of {_FDS} is no listening stream socket: write ListenStream= in the "
            "socket unit, and Accept=no"
        )
    sock.set_inheritable(False)
    sock.setblocking(False)
    if sock.family == socket.AF_UNIX:
        _refuse_open(sock)
    else:
        prepare(sock)
    return sock


def _refuse_open(sock: socket.socket) -> None:
    """Raise SettingsError for a Unix socket at which every user of the machine would speak as the proxy."""
    path = sock.getsockname()
    try:
        # An abstract one has no mode.
        is_open = isinstance(path, bytes) or Path(path).stat().st_mode & stat.S_IWOTH
    except OSError as error:
        raise SettingsError(
            f"the Unix socket {path} of {_FDS} cannot be looked at ({error.strerror}): let the service see it"
        ) from error
    if is_open:
        name = os.fsdecode(path).replace("\0", "@")
        raise SettingsError(
            f"the Unix socket {name} of {_FDS} is open to every user of this machine: set a path, "
            "SocketMode=0660 and SocketGroup= in the socket unit"
        )


_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
