"""IP addresses and networks of clients and proxies, in one spelling."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from macaroon_cbat.text.short_memory import remembering

_LONGEST_ADDRESS = 64


def plain_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address, an IPv4-mapped one as IPv4; None for other text, such as a Unix socket's name."""
    return _address(text) if len(text) <= _LONGEST_ADDRESS else None


def plain_text(address: str) -> str:
    """Return an address as text, an IPv4-mapped one as IPv4, and any other text as it is."""
    plain = plain_address(address)
    return address if plain is None else str(plain)


@remembering(1024)
def network_named(text: str) -> IPv4Network | IPv6Network:
    """Return the network that a text names. Raises ValueError. Remembered: requests need the same ones."""
    return ip_network(text)


@lru_cache(maxsize=4096)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    # Remembered: a proxy's address is in every request, and parsing costs ten times as much as this memory.
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
