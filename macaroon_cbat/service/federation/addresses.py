"""Addresses that the service may connect to: public ones, unless the operator has said otherwise."""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from macaroon_cbat.client.sockets import Deadline, Dial, connected

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
"""The addresses by which a host without IPv4 reaches an IPv4 host (RFC 6052 2.1)."""
_NOT_PUBLIC = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"), IPv6Network("3fff::/20"))
"""Networks that older versions of Python take for public: RFC 6890 2.1, RFC 7526, RFC 9637.

A cloud has had the metadata of its machines at 192.0.0.192.
"""


class PrivateAddress(OSError):
    """A name leads to no public address."""


def is_public(address: str) -> bool:
    """Return True for an address on the public internet, and for nothing that leads elsewhere.

    Loopback, link-local, private, shared, reserved and multicast addresses are not public, neither as
    themselves nor inside an IPv6 address.
    """
    try:
        plain = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(plain, IPv6Address):
        inner = _ipv4_inside(plain)
        if inner is None:
            return plain in _GLOBAL_UNICAST and plain.is_global and not _is_set_aside(plain)
        plain = inner
    return not (_is_set_aside(plain) or plain.is_multicast or plain.is_reserved) and plain.is_global


def _is_set_aside(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in _NOT_PUBLIC)


def _ipv4_inside(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that a packet to an IPv6 address ends at, or None."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    # 6to4 (RFC 7526) and Teredo are given up; what still routes them is judged by the address within.
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (None if teredo is None else teredo[1])


def is_address(host: str) -> bool:
    """Return True if a host is written as an IP address, so that no DNS answer chooses another."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def dial_to(*, allows_private: bool) -> Dial:
    """Return what connects to a host that the operator named.

    A name leads to public addresses only, unless `allows_private`; an address in the URL is the operator's
    own choice. The checked address is the one that is connected to: a second DNS answer changes nothing.
    """

    def dial(host: str, port: int, deadline: Deadline) -> socket.socket:
        if allows_private or is_address(host):
            return connected(host, port, deadline)
        return connected(host, port, deadline, admits=_only_public)

    return dial


def _only_public(host: str, address: str) -> None:
    """Raise PrivateAddress for an address that is not public."""
    if not is_public(address):
        raise PrivateAddress(
            f"{host} has the address {address}, which is not public: allow it with --private-addresses "
            "if this is the host that you mean"
        )
