"""One walk of a client without a certificate, over real TLS: token, child, proof, guard, introspection."""

import time

import pytest
import requests

from macaroon_cbat.client import DpopKey, TokenClient
from macaroon_cbat.client.dpop_requests import DpopAuth, dpop_session
from macaroon_cbat.macaroon.inspection import key_confirmations
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.resource.introspection import Introspection
from macaroon_cbat.resource.wsgi import Guard
from tests.support.dpop_world import over_tls
from tests.support.service import API, SECRETS

KEY = DpopKey.generate()


@pytest.fixture
def world(start, tmp_path):
    """Run the service, a guard with the keys, and one that introspects; each wants DPoP."""
    with over_tls(tmp_path, 3) as (ca, (issuer, offline, introspecting)):
        service = start(issuer=issuer.url, dpop_nonces=1)
        service.now = time.time()
        issuer.run(service.app.wsgi_app)
        asking = Introspection(issuer.url, API, "api", SECRETS["api"], ca=ca)
        for place, how in ((offline, {"keys": service.keys()}), (introspecting, {"verifier": asking})):
            guard = Guard(**how, require="dpop", origin=place.url)
            place.run(guard.require("read")(_view))
        yield ca, issuer, (offline, introspecting)
        asking.close()


def _view(_environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ran"]


def test_a_client_without_a_certificate(world):
    """A client with a key gets a token for it, nonce included, and uses it at both kinds of guards."""
    ca, issuer, places = world
    tokens = TokenClient(
        issuer=issuer.url, client_id="billing", client_secret=SECRETS["billing"], key=KEY, ca=ca
    )
    assert key_confirmations(read_macaroon(tokens())) == {KEY.thumbprint}
    for place in places:
        with dpop_session(DpopAuth(tokens, KEY), ca) as session:
            assert session.get(f"{place.url}/invoices").text == "ran"


def test_a_stolen_token_is_of_no_use(world):
    """Both kinds of guards refuse a thief that has the token and a key of its own."""
    ca, issuer, places = world
    secret = SECRETS["billing"]
    text = TokenClient(issuer=issuer.url, client_id="billing", client_secret=secret, key=KEY, ca=ca)()
    for place in places:
        url = f"{place.url}/invoices"
        proofs = {"DPoP": DpopKey.generate().proof("GET", url, token=text)}
        for headers in ({"Authorization": f"Bearer {text}"}, {"Authorization": f"DPoP {text}", **proofs}):
            assert requests.get(url, headers=headers, verify=ca, timeout=30).status_code == 401
