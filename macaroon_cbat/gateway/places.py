"""The places at which a gateway listens: a Unix socket for owner and group alone, or an address and port."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.server.address import Address, read_address
from macaroon_cbat.server.listener import BACKLOG, listening_socket

_MODE = 0o660
_LONGEST_PATH = 100
"""Bytes: the kernel's limit is 107, and a draft of the name needs a few."""


def read_place(text: str, member: str, folder: Path) -> Address:
    """Return the address that a member of [listen] names; a Unix socket's path is relative to the folder.

    Raises SettingsError for text that is no address, and for a path that the kernel does not take.
    """
    address = read_address(text, f"[listen], {member}")
    if address.path is None:
        return address
    path = folder / address.path
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise SettingsError(f"[listen], {member}: {path} is too long for a Unix socket: 100 bytes at most")
    return Address(path=path.absolute())


@contextmanager
def narrow_umask() -> Iterator[None]:
    """Give files that are created inside the block to owner and group alone, such as gRPC's Unix socket."""
    before = os.umask(0o777 & ~_MODE)
    try:
        yield
    finally:
        os.umask(before)


def check_free(place: Address) -> None:
    """Raise SettingsError if another process listens there; for servers that open their socket themselves."""
    if place.path is None:
        with listening_at(place):
            return
    if _is_answered(place.path):
        raise SettingsError(f"{place.path} is in use: stop the other gateway or listen elsewhere")


@contextmanager
def listening_at(place: Address) -> Iterator[socket.socket]:
    """Listen there until the block ends, which removes a Unix socket's file. Raises SettingsError."""
    if place.path is None:
        try:
            listener = listening_socket(place.host, place.port)
        except SettingsError as error:
            raise SettingsError(f"{place}: {str(error).partition(':')[0]}") from error
        with closing(listener):
            yield listener
        return
    with closing(_unix_listener(place.path)) as listener:
        made = place.path.stat()
        try:
            yield listener
        finally:
            with suppress(OSError):
                if os.path.samestat(made, place.path.stat()):  # another gateway's by now, perhaps
                    place.path.unlink()


def remove_socket(place: Address) -> None:
    """Remove the file of a Unix socket at which no process listens."""
    if place.path is not None and place.path.is_socket() and not _is_answered(place.path):
        place.path.unlink(missing_ok=True)


def _unix_listener(path: Path) -> socket.socket:
    """Return a listener under this name, in place of one at which no process listens.

    It gets its mode before its name, and the name at once: no client finds it missing or open to all.
    """
    if _is_answered(path):
        raise SettingsError(f"{path} is in use: stop the other gateway or listen elsewhere")
    draft = path.with_name(f".{os.getpid()}.sock")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            draft.unlink()
        listener.bind(os.fspath(draft))
        draft.chmod(_MODE)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        draft.rename(path)
    except OSError as error:
        listener.close()
        with suppress(OSError):
            draft.unlink()
        raise SettingsError(
            f"{path} cannot be listened on ({error.strerror}): check the folder, or listen elsewhere"
        ) from error
    return listener


def _is_answered(path: Path) -> bool:
    """Return True if a process listens there. Raises SettingsError for a file that is no socket."""
    if not path.exists():
        return False
    if not path.is_socket():
        raise SettingsError(f"{path} is no socket: listen elsewhere, or remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.connect(os.fspath(path))
        except ConnectionRefusedError:
            return False
        except OSError as error:
            raise SettingsError(
                f"{path} cannot be connected to ({error.strerror}): check its mode, or listen elsewhere"
            ) from error
    return True
