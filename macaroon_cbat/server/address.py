"""Addresses as operators write them: HOST:PORT for TCP, or unix:PATH for a Unix socket."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path

from macaroon_cbat.errors import SettingsError

UNIX = "unix:"
"""The beginning of an address that is the path of a Unix socket."""
_LARGEST_PORT = 65535
_PORT = re.compile(r"[0-9]{1,5}")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?")
_ZONE = re.compile(r"[A-Za-z0-9._-]{1,32}")
"""The name of a network interface behind `%` (RFC 4007 11), without anything that is syntax to a proxy."""


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address, or the path of a Unix socket."""

    host: str = ""
    """An IP address, or the name of a host; IPv6 without brackets. Empty for a Unix socket."""
    port: int = 0
    """0 to 65535; a listener on 0 gets a free port."""
    path: Path | None = None
    """The path of a Unix socket as it was written; None for TCP."""

    def __str__(self) -> str:
        """Return `HOST:PORT`, with brackets around IPv6, or `unix:PATH`."""
        return f"{self.bracketed}:{self.port}" if self.path is None else f"{UNIX}{self.path}"

    @property
    def bracketed(self) -> str:
        """The host as it stands before a port."""
        return f"[{self.host}]" if ":" in self.host else self.host


def read_address(text: str, name: str) -> Address:
    """Return the address HOST:PORT or unix:PATH. Raises SettingsError, which names `name`, for other text.

    Nothing is resolved, and no path is looked at.
    """
    if text.startswith(UNIX) and text != UNIX:
        return Address(path=Path(text.removeprefix(UNIX)))
    host, _, port = text.rpartition(":")
    if not _PORT.fullmatch(port) or int(port) > _LARGEST_PORT:
        raise _neither(text, name)
    return Address(host=_host(host, text, name), port=int(port))


def _host(host: str, text: str, name: str) -> str:
    if not (host.startswith("[") and host.endswith("]")):
        if not _HOST.fullmatch(host):
            raise _neither(text, name)
        return host
    literal, percent, zone = host[1:-1].partition("%")
    try:
        address = IPv6Address(literal)
    except ValueError:
        raise SettingsError(f"{name}: {text!r} has no IPv6 address in its brackets: correct it") from None
    if percent and not _ZONE.fullmatch(zone):
        raise SettingsError(f"{name}: {text!r} names no network interface behind %: correct it")
    return f"{address}{percent}{zone}"


def _neither(text: str, name: str) -> SettingsError:
    return SettingsError(
        f"{name}: {text!r} is neither HOST:PORT nor unix:PATH: "
        "write it as 127.0.0.1:8000, [::1]:8000 or unix:/run/NAME.sock"
    )
