"""The ways in which a follower loses its right to follow: by name, of a service and of its token."""

from collections.abc import Callable

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.revocation import RevocationKind
from tests.support.databases import NOW, remove
from tests.support.resource_server import rewritten
from tests.support.service import API, ISSUER, OTHER_API, Service, grant_of

LOSSES: dict[str, Callable[[Service, str], object]] = {
    "client removed": lambda service, _: remove(service.stores, "invoices"),
    "token revoked": lambda service, token: _revoke(service, "token", grant_of(token).jti, ISSUER),
    "client's tokens revoked": lambda service, _: _revoke(service, "client", "invoices"),
    "subject revoked": lambda service, _: _revoke(service, "subject", "invoices"),
    "key revoked": lambda service, token: _revoke(service, "key", grant_of(token).kid),
    "audiences changed": lambda service, _: rewritten(
        service, "invoices", scope="read keys revocations", serves=(OTHER_API,)
    ),
    "audience more": lambda service, _: rewritten(
        service, "invoices", scope="read keys revocations", serves=(API, OTHER_API)
    ),
    "scope taken": lambda service, _: rewritten(service, "invoices", scope="read keys", serves=(API,)),
    "token expired": lambda service, _: setattr(service, "now", NOW + 100_000),
}


def _revoke(service: Service, kind: RevocationKind, value: str, audience: str | None = None) -> None:
    times = {"now": EpochSeconds(NOW + 2), "expires_at": NOW + 600}
    service.stores.revocations.revoke(kind, value, audience=audience, **times)
