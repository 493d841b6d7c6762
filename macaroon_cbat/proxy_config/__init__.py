"""Ready configurations for the proxies in front of a resource server."""

from macaroon_cbat.proxy_config.addresses import Address, read_address, read_listener
from macaroon_cbat.proxy_config.introspecting import Introspecting
from macaroon_cbat.proxy_config.rendering import PROXIES, ProxySettings, render

__all__ = [
    "PROXIES",
    "Address",
    "Introspecting",
    "ProxySettings",
    "read_address",
    "read_listener",
    "render",
]
