"""An administrator, and everything that administration could change."""

from macaroon_cbat.macaroon.caveats import Caveat, confirmation
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.certificates import Identity
from tests.support.resource_server import register, token_for_service
from tests.support.service import API, Service

CLIENTS, KEYS, REVOCATIONS = "/admin/clients", "/admin/keys", "/admin/revocations"
NEW = {"client_id": "orders", "scope": "read", "audiences": [API]}


def administrator(service: Service, certificate: Identity):
    """Return what asks as client `ops`, whose macaroon has these caveats besides the confirmation."""
    register(service, "ops", scope="read admin keys", audiences=(API,), serves=(API,))

    def ask(
        method: str,
        path: str,
        *caveats: Caveat,
        over=certificate,
        client="ops",
        token=None,
        further=(),
        **request,
    ):
        text = token or token_for_service(service, client)
        bound = attenuate(text, [confirmation(certificate.thumbprint), *caveats])
        headers = {"Authorization": f"Bearer {bound}", **dict(further)}
        return service.open(path, over, method=method, headers=headers, **request)

    ask.service = service
    return ask


def state(service: Service):
    """Return everything that administration could have changed."""
    stores = service.stores
    return stores.clients.all(), stores.root_keys.records(), stores.revocations.newest()
