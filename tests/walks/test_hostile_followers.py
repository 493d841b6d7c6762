"""A registered client that opens as many streams as it can: others follow and mint as before."""

import json
from contextlib import ExitStack, closing

from macaroon_cbat.resource import ServiceConnection
from tests.support.followed_service import Realm
from tests.support.service_process import API

CONNECTIONS, MOST = 64, 30
"""The fewest connections of a service; 60 of them may wait, and half of these for one client."""


def newest(connection: ServiceConnection) -> str:
    """Return the cursor after all that was revoked."""
    return json.loads(connection.revocations("0", 0))["cursor"]


def test_one_client_leaves_places_to_others(tmp_path):
    """A client has a stream for half of the places at most; one more is answered by a page at once."""
    realm = Realm(tmp_path, {})
    secret = realm.service.add("evil", "--scope", "revocations", "--serves", "https://evil.example")
    files = {"certificate": realm.certificate, "ca": realm.service.ca}
    with realm.service.running("--connections", str(CONNECTIONS)), ExitStack() as held:
        evil, other = ServiceConnection(realm.service.issuer, "evil", secret, **files), realm.connection()
        cursor = newest(evil)
        streams = [held.enter_context(closing(evil.stream(cursor, 30))) for _ in range(MOST + 1)]
        assert all(json.loads(next(stream))["is_last"] for stream in streams)
        assert next(streams[-1], None) is None
        followed = held.enter_context(closing(other.stream(newest(other), 30)))
        next(followed)
        assert realm.service.client("billing", realm.billing, resource=API)()
        realm.revoke("client", "billing")
        assert "billing" in next(followed).decode()
