"""A client and a certificate that is another's: who the token is for, and what it is bound to."""

import pytest

from macaroon_cbat.macaroon.inspection import confirmations
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.certificates import certified
from tests.support.databases import NOW
from tests.support.service import GRANT_TYPE, SECRETS, basic, client_metadata, grant_of, refused

DN = "CN=billing,O=Example"
BOUND = {"tls_client_certificate_bound_access_tokens": True}


@pytest.fixture
def trusting(trusting_ca, certificate):
    """Start a service with bound clients of each method, and two that share a certificate."""
    service = trusting_ca
    own = {"token_endpoint_auth_method": "self_signed_tls_client_auth"}
    own["certificates"] = (certificate.thumbprint,)
    named = {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": DN}
    for name, members, secret in (
        ("bound-basic", BOUND, SECRETS["billing"]),
        ("bound-post", BOUND | {"token_endpoint_auth_method": "client_secret_post"}, SECRETS["billing"]),
        ("bound-own", BOUND | own, None),
        ("bound-named", BOUND | named, None),
        ("own", own, None),
        ("twin", own, None),
    ):
        service.stores.clients.add(name, client_metadata(**members), secret=secret, now=NOW)
    return service


def ask(service, client, certificate, secret=None):
    headers = {} if secret is None else {"Authorization": basic(client, secret)}
    form = GRANT_TYPE | {"client_id": client}
    return service.open("/oauth2/token", certificate, data=form, headers=headers)


def token_of(answer):
    assert answer.status_code == 200, answer.text
    return answer.json["access_token"]


def test_a_bound_token_names_the_certificate_of_its_connection(trusting, certificate, other_certificate):
    """A client that proves itself by a secret is bound to the certificate whose key its connection proved."""
    for shown in (certificate, other_certificate):
        token = token_of(ask(trusting, "bound-basic", shown, SECRETS["billing"]))
        assert confirmations(read_macaroon(token)) == {shown.thumbprint}
        assert trusting.introspect(token, "comparing-api")["cnf"] == {"x5t#S256": shown.thumbprint}


def test_an_unbound_client_is_bound_to_nothing(trusting, certificate):
    """A client that did not register for it gets no binding, whatever certificate its connection has."""
    token = token_of(ask(trusting, "billing", certificate, SECRETS["billing"]))
    assert read_macaroon(token).caveats == ()
    assert "cnf" not in trusting.introspect(token)


def test_another_clients_certificate_makes_no_client_that_one(trusting, certificate):
    """A client over a connection with the certificate of another one is itself, by its own proof."""
    token = token_of(ask(trusting, "bound-basic", certificate, SECRETS["billing"]))
    assert (grant_of(token).client_id, grant_of(token).sub) == ("bound-basic", "bound-basic")
    refused(ask(trusting, "own", certificate, SECRETS["billing"]), 401, "invalid_client")


@pytest.mark.parametrize("client", ["own", "twin"])
def test_clients_that_share_a_certificate_are_told_apart_by_name(trusting, certificate, client):
    """Of several clients with one certificate, the one that is named gets the token."""
    assert grant_of(token_of(ask(trusting, client, certificate))).client_id == client


WITHOUT = {
    "bound-basic": (SECRETS["billing"], 400, "invalid_request"),
    "bound-post": (SECRETS["billing"], 400, "invalid_request"),
    "bound-own": (None, 401, "invalid_client"),
    "bound-named": (None, 401, "invalid_client"),
}


@pytest.mark.parametrize("client", WITHOUT)
@pytest.mark.parametrize("shown", [None, b""], ids=["no certificate", "no bytes"])
def test_a_bound_client_never_gets_an_unbound_token(trusting, client, shown):
    """A client that registered for bound tokens gets an error over a connection without a certificate."""
    secret, status, code = WITHOUT[client]
    refused(ask(trusting, client, shown, secret), status, code)


@pytest.mark.parametrize("client", ["bound-own", "bound-named"])
def test_a_bound_client_is_bound_to_what_it_proved_itself_by(trusting, ca, certificate, client):
    """A client that proves itself by a certificate gets a token that is bound to that very one."""
    shown = {"bound-own": certificate, "bound-named": certified(DN, ca)}[client]
    token = token_of(ask(trusting, client, shown))
    assert confirmations(read_macaroon(token)) == {shown.thumbprint}
