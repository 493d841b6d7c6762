"""Each method of client authentication against everything that a client, or another, may present."""

from typing import get_args

import msgspec
import pytest

from macaroon_cbat.certificate.source import presented_certificate
from macaroon_cbat.errors import InvalidClient
from macaroon_cbat.service.oauth2.client_authentication import authenticated_client
from macaroon_cbat.service.oauth2.client_certificates import ClientTrust
from macaroon_cbat.service.oauth2.credentials import PresentedCredentials
from macaroon_cbat.stores import ClientStore
from macaroon_cbat.stores.clients import ClientAuthMethod
from tests.support.certificates import certified
from tests.support.databases import NOW
from tests.support.service import GRANT_TYPE, basic, client_metadata, told_of

SECRET, OTHERS_SECRET = "Zr8kQm2w-Vx5Tn_Yb7Lc4", "Hd6p_Wj9sRf-K3Ge1Uo0a"
DN = "CN=billing,O=Example"
METHODS = (
    "client_secret_basic",
    "client_secret_post",
    "self_signed_tls_client_auth",
    "tls_client_auth",
    "private_key_jwt",
    "none",
)


@pytest.fixture(scope="module")
def certificates(ca):
    registered = certified("CN=registered", days=(-30, -1))  # by its hash alone
    return {
        "none": None,
        "registered": registered,
        "of the CA": certified(DN, ca),
        "of the CA for another": certified("CN=payroll,O=Example", ca),
        "of the CA, expired": certified(DN, ca, days=(-30, -1)),
        "self-signed, of the same name": certified(DN),
    }


@pytest.fixture(scope="module")
def trusting(lasting_trusting_ca, certificates):
    """Start a service with a client of each method, named after it, and another client with a secret."""
    service = lasting_trusting_ca
    members = {
        "self_signed_tls_client_auth": {"certificates": (certificates["registered"].thumbprint,)},
        "tls_client_auth": {"tls_client_auth_subject_dn": DN},
        "none": {"tls_client_certificate_bound_access_tokens": True},
    }
    secrets = dict.fromkeys(METHODS[:2], SECRET)
    for method in METHODS:
        metadata = client_metadata(token_endpoint_auth_method=method, **members.get(method, {}))
        service.stores.clients.add(method, metadata, secret=secrets.get(method), now=NOW)
    service.stores.clients.add("other", client_metadata(), secret=OTHERS_SECRET, now=NOW)
    return service


def shown(place, secret):
    """Return how a secret is sent: as what form and headers, for a client."""
    form = {"client_secret": secret} if place != "header" else {}
    return lambda client: (
        {"client_id": client} | form,
        {"Authorization": basic(client, secret)} if place != "form" else {},
    )


ASSERTION = {
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    "client_assertion": "eyJhbGciOiJub25lIn0.eyJpc3MiOiJub25lIn0.",
}
PRESENTED = {
    "no secret": lambda client: ({"client_id": client}, {}),
    "right in the header": shown("header", SECRET),
    "right in the form": shown("form", SECRET),
    "right in both": shown("both", SECRET),
    "wrong in the header": shown("header", "wrong"),
    "wrong in the form": shown("form", "wrong"),
    "another's in the header": shown("header", OTHERS_SECRET),
    "another's in the form": shown("form", OTHERS_SECRET),
    "empty in the header": lambda client: ({}, {"Authorization": basic(client, "")}),
    "an assertion": lambda client: ({"client_id": client} | ASSERTION, {}),
    "an assertion beside the right secret": lambda client: (
        {"client_id": client, "client_secret": SECRET} | ASSERTION,
        {},
    ),
    "an assertion beside the right secret in the header": lambda client: (
        ASSERTION,
        {"Authorization": basic(client, SECRET)},
    ),
    "half an assertion": lambda client: (
        {"client_id": client, "client_assertion": ASSERTION["client_assertion"]},
        {},
    ),
    "the other half of an assertion": lambda client: (
        {"client_id": client, "client_assertion_type": ASSERTION["client_assertion_type"]},
        {},
    ),
    "no client_id": lambda _: ({}, {}),
    "no client_id, right secret": lambda _: ({"client_secret": SECRET}, {}),
    "unknown client": lambda _: ({"client_id": "unknown", "client_secret": SECRET}, {}),
    "two clients": lambda client: ({"client_id": "other"}, {"Authorization": basic(client, SECRET)}),
}
ANY = frozenset({"none", "registered", "of the CA", "of the CA for another", "of the CA, expired"}) | {
    "self-signed, of the same name"
}
LET_IN = {
    ("client_secret_basic", "right in the header"): ANY,
    ("client_secret_basic", "right in the form"): ANY,
    ("client_secret_post", "right in the header"): ANY,
    ("client_secret_post", "right in the form"): ANY,
    ("self_signed_tls_client_auth", "no secret"): {"registered"},
    ("tls_client_auth", "no secret"): {"of the CA"},
}
"""The certificates with which each client gets a token, and no others, by what it presents."""

OTHERWISE = {
    "right in both": (400, "invalid_request"),
    "two clients": (400, "invalid_request"),
    "an assertion beside the right secret": (400, "invalid_request"),
    "an assertion beside the right secret in the header": (400, "invalid_request"),
    "half an assertion": (400, "invalid_request"),
    "the other half of an assertion": (400, "invalid_request"),
}
UNAUTHORIZED = (400, "unauthorized_client")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("presented", PRESENTED)
def test_a_method_takes_its_own_proof_only(trusting, certificates, method, presented):
    """A client is let in by what its own method asks for, whatever certificate the connection has besides."""
    form, headers = PRESENTED[presented](method)
    answers = {
        name: trusting.open("/oauth2/token", one, data=GRANT_TYPE | form, headers=headers)
        for name, one in certificates.items()
    }
    refusal = OTHERWISE.get(presented, (401, "invalid_client"))
    is_public = (method, presented) == ("none", "no secret")
    public = dict.fromkeys(ANY - {"none"}, UNAUTHORIZED) if is_public else {}
    let_in = dict.fromkeys(LET_IN.get((method, presented), ()), (200, None))
    assert {name: (one.status_code, one.json.get("error")) for name, one in answers.items()} == (
        dict.fromkeys(ANY, refusal) | public | let_in
    )


FAILING = {
    "a wrong secret": ("client_secret_basic", "wrong in the header", "none"),
    "a certificate for a secret": ("client_secret_post", "no secret", "of the CA"),
    "a secret for a certificate": ("self_signed_tls_client_auth", "right in the form", "registered"),
    "another certificate": ("self_signed_tls_client_auth", "no secret", "of the CA"),
    "no certificate": ("tls_client_auth", "no secret", "none"),
    "another name": ("tls_client_auth", "no secret", "of the CA for another"),
    "an expired one": ("tls_client_auth", "no secret", "of the CA, expired"),
    "an untrusted one": ("tls_client_auth", "no secret", "self-signed, of the same name"),
    "a public client without": ("none", "no secret", "none"),
}


@pytest.mark.parametrize(("method", "presented", "name"), FAILING.values(), ids=FAILING)
def test_a_refusal_does_not_tell_why(trusting, certificates, method, presented, name):
    """The answer is that to an unknown client, byte for byte, whatever is registered and presented."""
    form, headers = PRESENTED[presented](method)
    unknown, its_headers = PRESENTED[presented]("unknown")
    ask = [
        trusting.open("/oauth2/token", certificates[name], data=GRANT_TYPE | one, headers=other)
        for one, other in ((form, headers), (unknown, its_headers))
    ]
    assert {one.status_code for one in ask} == {401}
    assert told_of(ask[0]) == told_of(ask[1])


def test_every_method_that_can_be_registered_is_in_the_table():
    """No method is registered without a row in this table."""
    assert set(METHODS) == set(get_args(ClientAuthMethod))


class LaterClients(ClientStore):
    """The clients as a later version reads them: each has a method that this one does not know."""

    def remembered(self, client_id):
        """Look the client up each time."""
        return self.look_up(client_id)

    def look_up(self, client_id):
        """Return the client with the later method."""
        known = super().look_up(client_id)
        metadata = msgspec.structs.replace(known.metadata, token_endpoint_auth_method="later_method")
        return msgspec.structs.replace(known, metadata=metadata)


@pytest.mark.parametrize("secret", [None, SECRET], ids=["no secret", "its secret"])
@pytest.mark.parametrize("name", ["none", "registered", "of the CA"])
def test_a_method_that_is_unknown_lets_in_nothing(trusting, certificates, secret, name):
    """A client of a method that this version does not know is refused, whatever it presents."""
    clients, one = LaterClients(trusting.stores.database), certificates[name]
    credentials = PresentedCredentials("client_secret_post", secret, presented_certificate(one and one.der))
    assert clients.find("client_secret_post").metadata.token_endpoint_auth_method == "later_method"
    with pytest.raises(InvalidClient):
        authenticated_client(credentials, clients, ClientTrust(None), NOW)
