"""Ready configurations for the proxies in front of a resource server."""

from macaroon_cbat.proxy_config.addresses import Address, read_address, read_listener
from macaroon_cbat.proxy_config.introspection import ProxyIntrospection
from macaroon_cbat.proxy_config.render import PROXIES, ProxySettings, render

__all__ = [
    "PROXIES",
    "Address",
    "ProxyIntrospection",
    "ProxySettings",
    "read_address",
    "read_listener",
    "render",
]
