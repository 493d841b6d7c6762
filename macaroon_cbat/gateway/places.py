"""The places at which a gateway listens: a Unix socket for owner and group alone, or an address and port."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.server.address import Address, read_address
from macaroon_cbat.server.listener import listening_socket
from macaroon_cbat.server.unix_listener import MODE, is_answered, is_too_long, listening_on


def read_place(text: str, member: str, folder: Path) -> Address:
    """Return the address that a member of [listen] names; a Unix socket's path is relative to the folder.

    Raises SettingsError for text that is no address, and for a path that the kernel does not take.
    """
    address = read_address(text, f"[listen], {member}")
    if address.path is None:
        return address
    path = folder / address.path
    if is_too_long(path):
        raise SettingsError(f"[listen], {member}: {path} is too long for a Unix socket: 100 bytes at most")
    return Address(path=path.absolute())


@contextmanager
def narrow_umask() -> Iterator[None]:
    """Give files that are created inside the block to owner and group alone, such as gRPC's Unix socket."""
    before = os.umask(0o777 & ~MODE)
    try:
        yield
    finally:
        os.umask(before)


def check_free(place: Address) -> None:
    """Raise SettingsError if another process listens there; for servers that open their socket themselves."""
    if place.path is None:
        with listening_at(place):
            return
    if is_answered(place.path):
        raise SettingsError(f"{place.path} is in use: stop the other server or listen elsewhere")


@contextmanager
def listening_at(place: Address) -> Iterator[socket.socket]:
    """Listen there until the block ends, which removes a Unix socket's file. Raises SettingsError."""
    if place.path is not None:
        with listening_on(place.path) as listener:
            yield listener
        return
    try:
        listener = listening_socket(place.host, place.port)
    except SettingsError as error:
        raise SettingsError(f"{place}: {str(error).partition(':')[0]}") from error
    with closing(listener):
        yield listener


def remove_socket(place: Address) -> None:
    """Remove the file of a Unix socket at which no process listens."""
    if place.path is not None and place.path.is_socket() and not is_answered(place.path):
        place.path.unlink(missing_ok=True)
