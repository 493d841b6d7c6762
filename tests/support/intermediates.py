"""A client whose certificate has intermediates."""

from typing import Any

from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE, PEER_INTERMEDIATES
from tests.support.certificates import Identity
from tests.support.service import GRANT_TYPE, Service

DN, DNS = "CN=billing,O=Example", "billing.example"


def ask(
    service: Service, shown: Identity | bytes | None, *sent: Identity | bytes, client: str = "by-dn"
) -> Any:
    """Ask for a token over a connection on which the client sent these certificates."""
    others = tuple(one.der if isinstance(one, Identity) else one for one in sent)
    environ = {
        PEER_CERTIFICATE: shown.der if isinstance(shown, Identity) else shown,
        PEER_INTERMEDIATES: others,
    }
    form = GRANT_TYPE | {"client_id": client}
    return service.app.test_client().post("/oauth2/token", data=form, environ_overrides=environ)
