"""The guard of a resource server: it admits a request if its token allows it over this very connection.

from macaroon_cbat.resource import Guard, current_principal

guard = Guard(app, keys="keys.json")

@app.get("/invoices")
@guard.require("read")
def invoices():
    return list_of(current_principal.client_id)

This Guard is Flask's. The guards of other applications are in the modules `starlette`, `fastapi`, `django`,
`wsgi` and `asgi` of this package, none of which needs Flask.
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

# The imports above are for type checkers, this table for Python: each module is loaded with its first name,
# so that an offline guard loads no feed, and no adapter but Flask's loads Flask. A test holds the two equal.
_MODULES = {
    "feeds.key_feed": ("KeyFeed",),
    "feeds.revocation_feed": ("RevocationFeed",),
    "feeds.service_connection": ("ServiceConnection",),
    "flask": ("Guard", "current_principal"),
    "introspection": ("Introspection",),
    "key_file": ("KeyFile",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Return a public name of this package (PEP 562). Raises ImportError without the extra that it needs."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    """Return what `dir` shows: the public names too."""
    return sorted((*globals(), *_MODULE_OF))
