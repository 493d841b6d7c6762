"""The places at which `serve` listens: its options, or the sockets that the service manager hands over."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import click
import click.core

from macaroon_cbat.certificate.source import tls_connection
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.server.activation import handed_sockets
from macaroon_cbat.server.address import UNIX
from macaroon_cbat.server.listener import SocketFile, listening, place_of
from macaroon_cbat.service import Settings

_MODE = re.compile(r"0?[0-7]{3}")
_EVERY_IPV4, _EVERY = "0.0.0.0", "::"  # noqa: S104 # named, not used


def _mode(text: str) -> int:
    """Return permission bits from octal digits."""
    if not _MODE.fullmatch(text):
        raise click.BadParameter(f"{text!r} is no mode: write three octal digits, such as 660")
    return int(text, 8)


def listening_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name the places."""
    options = (
        click.option(
            "--host",
            "hosts",
            multiple=True,
            default=("127.0.0.1",),
            show_default=True,
            help="Address to listen on; 0.0.0.0 is every IPv4 address, :: every IPv6 and IPv4 one. unix:PATH "
            "is a Unix socket for a proxy. May be repeated.",
        ),
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            default=8443,
            show_default=True,
            help="Port to listen on; 0 takes a free one.",
        ),
        click.option("--ipv6-only", is_flag=True, help="Let --host :: be IPv6 alone."),
        click.option(
            "--socket-mode",
            type=_mode,
            default="660",
            metavar="MODE",
            help="Permissions of a Unix socket. [default: 660]",
        ),
        click.option("--socket-group", metavar="GROUP", help="Group of a Unix socket, such as the proxy's."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The sockets of a service: its own, and that of the management page if it was handed over."""

    sockets: list[socket.socket]
    management: socket.socket | None
    hosts: tuple[str, ...]
    """Addresses and names that the server certificate must be good for."""
    shown: list[str]
    """The places as the greeting names them."""

    @property
    def port(self) -> int | None:
        """The port of the first; None for Unix sockets alone."""
        ports = [place_of(sock).port for sock in self.sockets if sock.family != socket.AF_UNIX]
        return ports[0] if ports else None

    def check(self, settings: Settings) -> None:
        """Raise SettingsError for a Unix socket without the settings of the proxy before it."""
        is_unix = any(sock.family == socket.AF_UNIX for sock in self.sockets)
        if is_unix and settings.certificate_source is tls_connection:
            raise SettingsError(
                "a Unix socket is for a proxy, which alone sees client certificates: set "
                "MACAROON_CBAT_CERTIFICATE_FORMAT, and MACAROON_CBAT_TRUSTED_PROXIES to unix"
            )
        if self.port is None and settings.issuer is None:
            raise SettingsError("the issuer is unknown behind a Unix socket: name it with --issuer")


@contextmanager
def opened(
    hosts: tuple[str, ...], port: int, *, ipv6_only: bool, socket_mode: int, socket_group: str | None
) -> Iterator[Places]:
    """Listen until the block ends: at the sockets that the service manager handed over, else at these places.

    Raises SettingsError for places that were named although sockets were handed over, and as `listening`.
    """
    handed, management = handed_sockets()
    with ExitStack() as stack:
        for sock in (*handed, *([] if management is None else [management])):
            stack.enter_context(closing(sock))
        if handed:
            _refuse_named()
            hosts = tuple({place_of(sock).host for sock in handed} - {""})
            shown = [shown_place(sock) for sock in handed]
            yield Places(sockets=handed, management=management, hosts=hosts, shown=shown)
            return
        file = SocketFile(mode=socket_mode, group=socket_group)
        found = stack.enter_context(listening(hosts, port, is_ipv6_only=ipv6_only, file=file))
        named = tuple(host for host in hosts if not host.startswith(UNIX))
        # A Unix socket knows the name that it had first, as a draft.
        of_each = zip(dict.fromkeys(hosts), found, strict=True)
        shown = [host if host.startswith(UNIX) else shown_place(sock) for host, sock in of_each]
        yield Places(sockets=found, management=management, hosts=named, shown=shown)


def _refuse_named() -> None:
    context = click.get_current_context()
    for name, option in (("hosts", "--host"), ("port", "--port")):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise SettingsError(
                f"the service manager handed sockets over (LISTEN_FDS): leave {option} or the socket unit out"
            )


def shown_place(sock: socket.socket) -> str:
    """Return where a socket listens, as the greeting names it."""
    place = place_of(sock)
    if place.host == _EVERY_IPV4:
        return f"{place} (every IPv4 address)"
    if place.host == _EVERY:
        is_one = sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        return f"{place} (every IPv6 {'' if is_one else 'and IPv4 '}address)"
    return str(place)
