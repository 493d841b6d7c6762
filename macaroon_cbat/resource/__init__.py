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

from macaroon_cbat.resource.flask import Guard as Guard
from macaroon_cbat.resource.flask import current_principal as current_principal
from macaroon_cbat.resource.introspection import Introspection as Introspection
from macaroon_cbat.resource.key_feed import KeyFeed as KeyFeed
from macaroon_cbat.resource.key_file import KeyFile as KeyFile
from macaroon_cbat.resource.revocation_feed import RevocationFeed as RevocationFeed
from macaroon_cbat.resource.service_connection import ServiceConnection as ServiceConnection
