"""The listening socket of a server."""

import errno
import socket

from macaroon_cbat.errors import SettingsError

BACKLOG = 4096
"""Connections that may wait to be accepted; over a Unix socket the next one is refused at once."""
IN_PYTHON = " (port= in Python)"
"""The end of an advice, for callers of `tls.serve`, who have no options."""
_EVERY_ADDRESS = "::"
_UNSENT_BYTES = 1 << 17
"""Bytes that the kernel takes for a client beyond those it has sent."""


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens on host and port; port 0 takes a free one.

    The host `::` stands for IPv6 and IPv4, every other address for itself. Raises SettingsError, which tells
    the operator what is in the way.
    """
    family, address = _resolve(host, port)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # "::" is every address of the machine, IPv4 included, on every system.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != _EVERY_ADDRESS)
        # Accepted sockets inherit these two.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            # Without it the kernel buffers megabytes, and a slow reader shows no progress for a long time.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise SettingsError(_advice(error, host, port)) from error
    return sock


def free_port(host: str) -> int:
    """Return a port of the host that is free now, for a server that must know it beforehand."""
    with listening_socket(host, 0) as sock:
        port: int = sock.getsockname()[1]
        return port


def address_of(host: str) -> str:
    """Return the address that a socket of this host listens on. Raises SettingsError."""
    return str(_resolve(host, 0)[1][0])


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
