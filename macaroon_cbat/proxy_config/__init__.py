"""Ready configurations for the proxies in front of a resource server."""

from macaroon_cbat.proxy_config.addresses import read_listener, read_upstream
from macaroon_cbat.proxy_config.introspection import ProxyIntrospection
from macaroon_cbat.proxy_config.render import PROXIES, ProxyConfigSettings, render

__all__ = [
    "PROXIES",
    "ProxyIntrospection",
    "ProxyConfigSettings",
    "read_listener",
    "read_upstream",
    "render",
]
