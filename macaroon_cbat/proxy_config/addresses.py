"""Addresses as an operator types them, and as each proxy spells them."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from macaroon_cbat.errors import SettingsError

_SOCKET_PATH = re.compile(r"/[A-Za-z0-9._/@+-]+")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address, or the path of a Unix socket; nothing in it can be configuration syntax."""

    host: str = ""
    """An IP address, or the name of a host; IPv6 without brackets. Empty for a Unix socket."""
    port: int = 0
    path: str = ""
    """Absolute path of a Unix socket; empty for TCP."""

    def __str__(self) -> str:
        """Return `HOST:PORT`, with brackets around IPv6, or `unix:PATH`."""
        return f"unix:{self.path}" if self.path else f"{self.bracketed}:{self.port}"

    @property
    def bracketed(self) -> str:
        """The host as it stands before a port."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def haproxy(self) -> str:
        """As HAProxy spells it."""
        return f"unix@{self.path}" if self.path else str(self)

    @property
    def caddy(self) -> str:
        """As Caddy spells an upstream."""
        return f"unix/{self.path}" if self.path else str(self)

    @property
    def apache(self) -> str:
        """As ProxyPass of Apache spells an upstream, before a path."""
        return f"unix:{self.path}|http://localhost" if self.path else f"http://{self}"

    @property
    def envoy(self) -> str:
        """As Envoy spells it, in YAML."""
        if self.path:
            return f"{{ pipe: {{ path: {self.path} }} }}"
        return f'{{ socket_address: {{ address: "{self.host}", port_value: {self.port} }} }}'


def read_address(text: str, name: str) -> Address:
    """Return the address `HOST:PORT` or `unix:PATH`, or raise SettingsError that names the option."""
    if text.startswith("unix:"):
        if not _SOCKET_PATH.fullmatch(path := text.removeprefix("unix:")):
            raise SettingsError(f"{name}: {path!r} is no absolute path of letters, digits and ._/@+-")
        return Address(path=path)
    host, _, port = text.rpartition(":")
    if not re.fullmatch("[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise SettingsError(f"{name}: {text!r} is neither HOST:PORT nor unix:PATH")
    return Address(host=_host(host, text, name), port=int(port))


def read_listener(text: str, name: str) -> Address:
    """Return the address of a listener, which is a number and a port, or raise SettingsError."""
    address = read_address(text, name)
    try:
        ip_address(address.host)
    except ValueError:
        raise SettingsError(f"{name}: {text!r} is not IP:PORT, such as 0.0.0.0:443 or [::]:443") from None
    return address


def _host(host: str, text: str, name: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(IPv6Address(host[1:-1]))
        except ValueError:
            raise SettingsError(f"{name}: {text!r} has no IPv6 address in its brackets") from None
    if not _HOST_NAME.fullmatch(host):
        raise SettingsError(f"{name}: {text!r} is neither HOST:PORT nor unix:PATH")
    return host
