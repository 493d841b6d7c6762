"""What stands before a resource: verify the token against the connection's certificate, or refuse.

from macaroon_cbat.resource import Guard, current_principal

guard = Guard(app, keys="keys.json")

@app.get("/invoices")
@guard.require("read")
def invoices():
    return list_of(current_principal.client_id)

This guard is Flask's; those of other applications are in the modules `starlette` (FastAPI too), `django`,
`wsgi` and `asgi` of this package.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from macaroon_cbat.resource.feeds.key_feed import KeyFeed as KeyFeed
    from macaroon_cbat.resource.feeds.revocation_feed import RevocationFeed as RevocationFeed
    from macaroon_cbat.resource.feeds.service_connection import ServiceConnection as ServiceConnection
    from macaroon_cbat.resource.flask import Guard as Guard
    from macaroon_cbat.resource.flask import current_principal as current_principal
    from macaroon_cbat.resource.introspection import Introspection as Introspection
    from macaroon_cbat.resource.key_file import KeyFile as KeyFile

_HOMES = {
    "Guard": "flask",
    "current_principal": "flask",
    "Introspection": "introspection",
    "KeyFeed": "feeds.key_feed",
    "KeyFile": "key_file",
    "RevocationFeed": "feeds.revocation_feed",
    "ServiceConnection": "feeds.service_connection",
}
"""Imported when they are asked for: other adapters and the gateway need no Flask."""


def __getattr__(name: str) -> Any:
    """Return a public name of this package (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
