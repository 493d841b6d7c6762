"""The listening sockets of a server."""

import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.server.address import UNIX, Address
from macaroon_cbat.server.unix_listener import BACKLOG, MODE, listening_on

IN_PYTHON = " (port= in Python)"
"""The end of an advice, for callers of `tls.serve`, who have no options."""
_EVERY_ADDRESS = "::"
_UNSENT_BYTES = 1 << 17
"""Bytes that the kernel takes for a client beyond those it has sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketFile:
    """Mode and group of a Unix socket's file."""

    mode: int = MODE
    group: str | None = None


@contextmanager
def listening(
    hosts: Sequence[str], port: int, *, is_ipv6_only: bool = False, file: SocketFile = SocketFile()
) -> Iterator[list[socket.socket]]:
    """Listen at all of these hosts until the block ends: addresses with this port, and unix:PATH.

    Port 0 is a free one, the same for all. `::` stands for IPv6 and IPv4, unless `is_ipv6_only` or an IPv4
    address is named beside it. Raises SettingsError, which tells the operator what is in the way.
    """
    with ExitStack() as stack:
        found: list[socket.socket] = []
        is_alone = is_ipv6_only or any(map(_is_ipv4, hosts))
        for host in dict.fromkeys(hosts):
            if host.startswith(UNIX):
                path = Path(host.removeprefix(UNIX)).absolute()
                found.append(stack.enter_context(listening_on(path, mode=file.mode, group=file.group)))
                continue
            sock = listening_socket(host, port, is_ipv6_only=is_alone)
            found.append(stack.enter_context(closing(sock)))
            port = port or sock.getsockname()[1]
        yield found


def _is_ipv4(host: str) -> bool:
    return not host.startswith(UNIX) and _resolve(host, 0)[0] == socket.AF_INET


def listening_socket(host: str, port: int, *, is_ipv6_only: bool = False) -> socket.socket:
    """Return a socket that listens on host and port; port 0 takes a free one.

    The host `::` stands for IPv6 and IPv4 unless `is_ipv6_only`, every other address for itself. Raises
    SettingsError, which tells the operator what is in the way.
    """
    family, address = _resolve(host, port)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # "::" is every address of the machine, IPv4 included, on every system.
            is_one = is_ipv6_only or address[0] != _EVERY_ADDRESS
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, is_one)
        prepare(sock)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise SettingsError(_advice(error, host, port)) from error
    return sock


def prepare(sock: socket.socket) -> None:
    """Set what accepted sockets inherit from a TCP listener."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # Without it the kernel buffers megabytes, and a slow reader shows no progress for a long time.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)


def place_of(sock: socket.socket) -> Address:
    """Return where a socket listens."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return Address(path=Path(name))
    return Address(host=name[0], port=name[1])


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    if not 0 <= port <= 65535:
        raise SettingsError(f"there is no port {port}: choose one from 1 to 65535, or 0 for a free one")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"cannot resolve {host!r}: name an address of this machine with --host, such as 127.0.0.1"
        ) from error
    # `localhost` may be both families; clients that were given 127.0.0.1 must reach it.
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return found[0][0], found[0][4]


def _advice(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use: stop the other server or choose another with --port{IN_PYTHON}"
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return (
            f"not permitted to listen on port {port} of {host}: choose one above 1023 with --port{IN_PYTHON}"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: choose another with --host"
    return f"cannot listen on port {port} of {host}: {error.strerror}"
