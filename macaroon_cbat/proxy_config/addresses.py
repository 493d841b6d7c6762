"""Addresses that no proxy can read as configuration syntax, in the spelling of each proxy."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from macaroon_cbat.certificate.address import plain_address
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.server.address import Address, read_address

PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/@+-]+")
"""An absolute path without any character that is syntax to a proxy."""


def read_upstream(text: str, name: str) -> Address:
    """Return the address that a proxy connects to. Raises SettingsError, which names the option."""
    address = read_address(text, name)
    if address.path is None and address.port == 0:
        raise SettingsError(f"{name}: {text!r} names no port: choose one from 1 to 65535")
    if address.path is not None and not PLAIN_PATH.fullmatch(text.removeprefix("unix:")):
        raise SettingsError(
            f"{name}: {str(address.path)!r} is no absolute path of letters, digits and ._/@+-: "
            "write the whole path from / on"
        )
    return address


def read_listener(text: str, name: str) -> Address:
    """Return the IP address and port of a listener. Raises SettingsError, which names the option."""
    address = read_upstream(text, name)
    if plain_address(address.host) is None:
        raise SettingsError(f"{name}: {text!r} is not IP:PORT: write it as 0.0.0.0:443 or [::]:443")
    return address


def _haproxy(address: Address) -> str:
    return str(address) if address.path is None else f"unix@{address.path}"


def _caddy(address: Address) -> str:
    return str(address) if address.path is None else f"unix/{address.path}"


def _apache(address: Address) -> str:
    """Return it as ProxyPass has it before a path."""
    return f"http://{address}" if address.path is None else f"unix:{address.path}|http://localhost"


def _envoy(address: Address) -> str:
    """Return it as a value of YAML."""
    if address.path is not None:
        return f"{{ pipe: {{ path: {address.path} }} }}"
    return f'{{ socket_address: {{ address: "{address.host}", port_value: {address.port} }} }}'


SPELLINGS: Mapping[str, Callable[[Address], str]] = MappingProxyType(
    {"haproxy": _haproxy, "caddy": _caddy, "apache": _apache, "envoy": _envoy}
)
"""The spellings of an address by the proxy that has one of its own: filters of the templates."""
