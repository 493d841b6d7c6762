"""Resource servers as the service knows them, and what they ask it for."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import update
from werkzeug.test import TestResponse

from macaroon_cbat.macaroon.caveats import Caveat, confirmation
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.stores.schema import clients
from tests.support.certificates import Identity
from tests.support.databases import NOW
from tests.support.service import ISSUER, SECRETS, Service, client_metadata

TIMES = {"revoked_at": NOW, "expires_at": NOW + 600}
"""Of a revocation that is in force."""
SCOPE = "read keys revocations"


def register(service: Service, name: str, **changes: object) -> None:
    """Register a client whose secret the tests know."""
    metadata = client_metadata(**{"scope": SCOPE, **changes})
    SECRETS.setdefault(name, f"{name}-secret-of-these-tests")
    service.stores.clients.add(name, metadata, secret=SECRETS[name], now=NOW)


def rewritten(service: Service, name: str, **changes: object) -> None:
    """Write other metadata into the database, as no verb does: every verb revokes the old tokens as well."""
    with service.stores.database.writing() as connection:
        metadata = msgspec.json.encode(client_metadata(**changes)).decode()
        connection.execute(update(clients).where(clients.c.client_id == name).values(metadata=metadata))
    service.app.extensions["macaroon_cbat"].forget()


def token_for_service(service: Service, client: str = "invoices") -> str:
    """Return an unbound token whose audience is the service."""
    return service.token(client, resource=ISSUER)


def ask(
    service: Service,
    path: str,
    token: str,
    certificate: Identity | None,
    *,
    caveats: Sequence[Caveat] | None = None,
    query: object = None,
) -> TestResponse:
    """Ask over a connection with this certificate, with a child of the token bound to it by default."""
    if caveats is None:
        assert certificate is not None
        caveats = [confirmation(certificate.thumbprint)]
    headers = {"Authorization": f"Bearer {attenuate(token, caveats) if caveats else token}"}
    return service.open(path, certificate, method="GET", headers=headers, query_string=query)
