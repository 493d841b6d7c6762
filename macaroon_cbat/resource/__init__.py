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

from typing import TYPE_CHECKING

from macaroon_cbat.errors.first_use import at_first_use

if TYPE_CHECKING:
    from macaroon_cbat.resource.feeds.key_feed import KeyFeed as KeyFeed
    from macaroon_cbat.resource.feeds.revocation_feed import RevocationFeed as RevocationFeed
    from macaroon_cbat.resource.feeds.service_connection import ServiceConnection as ServiceConnection
    from macaroon_cbat.resource.flask import Guard as Guard
    from macaroon_cbat.resource.flask import current_principal as current_principal
    from macaroon_cbat.resource.introspection import Introspection as Introspection
    from macaroon_cbat.resource.key_file import KeyFile as KeyFile
    from macaroon_cbat.resource.used_proofs import RememberedProofs as RememberedProofs

# An offline guard loads no feed, and no adapter but Flask's loads Flask.
__getattr__, __dir__, __all__ = at_first_use(
    __name__,
    {
        "feeds.key_feed": "KeyFeed",
        "feeds.revocation_feed": "RevocationFeed",
        "feeds.service_connection": "ServiceConnection",
        "flask": "Guard current_principal",
        "introspection": "Introspection",
        "key_file": "KeyFile",
        "used_proofs": "RememberedProofs",
    },
)
