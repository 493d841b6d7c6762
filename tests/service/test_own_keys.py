"""Clients that authenticate by keys and certificates of their own (RFC 7523 2.2, RFC 8705 2.2.2)."""

import pytest

from macaroon_cbat.certificate.source import presented_certificate
from macaroon_cbat.errors import InvalidClient, Unavailable
from macaroon_cbat.service.federation.published_keys import PublishedKeys
from macaroon_cbat.service.oauth2.client_authentication import authenticated_client
from macaroon_cbat.service.oauth2.client_certificates import ClientTrust
from macaroon_cbat.service.oauth2.credentials import PresentedCredentials
from macaroon_cbat.stores.client_keys import certificates_in
from tests.support.certificates import certified
from tests.support.databases import NOW
from tests.support.foreign_tokens import ec_key, key_set, signed_jwt
from tests.support.foreign_tokens import public_jwk as their_jwk
from tests.support.json_web_keys import jwk_of, public_jwk
from tests.support.key_servers import KeyServer, key_server
from tests.support.service import API, GRANT_TYPE, ISSUER, client_metadata, refused

ONE, OTHER = certified("CN=one", days=(-30, -1)), certified("CN=other")
RENEWED = certified("CN=one", key=ONE.key)
MINE = ec_key(31)
KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SELF_SIGNED = {"token_endpoint_auth_method": "self_signed_tls_client_auth"}
BY_KEY = {"token_endpoint_auth_method": "private_key_jwt"}


def add(service, name, **members):
    service.stores.clients.add(name, client_metadata(**members), secret=None, now=NOW)


def ask(service, certificate, client="app", **form):
    return service.post("/oauth2/token", GRANT_TYPE | {"client_id": client} | form, None, certificate)


def test_a_certificate_in_a_key_is_right(service):
    """A certificate that a registered key names, by x5c or thumbprint, lets its client in."""
    by_thumbprint = public_jwk(OTHER.key.public_key()) | {"x5t#S256": OTHER.thumbprint}
    add(service, "app", **SELF_SIGNED, jwks={"keys": [jwk_of(ONE), by_thumbprint]})
    assert [ask(service, one).status_code for one in (ONE, OTHER)] == [200, 200]


@pytest.mark.parametrize("shown", [OTHER, RENEWED, None], ids=["another", "another with its key", "none"])
def test_another_certificate_is_wrong(service, shown):
    """Certificates are compared, not keys: another one with the same key is another (RFC 8705 2.2)."""
    add(service, "app", **SELF_SIGNED, jwks={"keys": [jwk_of(ONE)]})
    refused(ask(service, shown), 401, "invalid_client")


def test_certificates_overlap_while_they_rotate(service):
    """A client with two registered certificates is let in by either, and by the new one alone afterwards."""
    add(service, "app", **SELF_SIGNED, certificates=(ONE.thumbprint, OTHER.thumbprint))
    assert [ask(service, one).status_code for one in (ONE, OTHER)] == [200, 200]
    after = client_metadata(**SELF_SIGNED, certificates=(OTHER.thumbprint,))
    service.app.extensions["macaroon_cbat"].clients.change("app", lambda _: after, lambda: NOW, lasting=600)
    assert [ask(service, one).status_code for one in (ONE, OTHER)] == [401, 200]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with key_server(tmp_path_factory.mktemp("published")) as server:
        yield server


def proved(service, server: KeyServer, published, shown):
    """Return the client that a certificate proves, whose certificates this server publishes."""

    def publishes(_, certificate):
        return published.has(server.place(), lambda keys: certificate in certificates_in(keys))

    credentials = PresentedCredentials("app", None, presented_certificate(shown.der))
    return authenticated_client(credentials, service.stores.clients, ClientTrust(None), NOW, publishes)


def test_a_published_certificate_is_right(service, server):
    """A certificate at the client's jwks_uri lets it in, and a new one once it is published there."""
    elapsed = [0.0]
    published = PublishedKeys(lambda: elapsed[0])
    add(service, "app", **SELF_SIGNED, jwks_uri=f"{server.url}/jwks")
    server.publish("/jwks", {"keys": [jwk_of(ONE), {"kty": "oct", "k": "AA"}]})
    assert proved(service, server, published, ONE).client_id == "app"
    with pytest.raises(InvalidClient):
        proved(service, server, published, OTHER)
    server.publish("/jwks", {"keys": [jwk_of(OTHER)]})
    elapsed[0] += 31
    assert proved(service, server, published, OTHER).client_id == "app"
    with pytest.raises(InvalidClient):
        proved(service, server, published, ONE)


def test_certificates_that_cannot_be_had_let_no_client_in(service, server):
    """While a jwks_uri is out of reach, or inside the network, its client is told so, and not let in."""
    server.begin_again()
    add(service, "app", **SELF_SIGNED, jwks_uri=f"{server.url}/jwks")
    with pytest.raises(Unavailable):
        proved(service, server, PublishedKeys(), ONE)
    server.publish("/jwks", {"keys": [jwk_of(ONE)]})
    refused(ask(service, ONE), 503, "temporarily_unavailable")
    assert server.asked == ["/jwks"]


def an_assertion(jti="one", **claims):
    members = {"iss": "app", "sub": "app", "aud": ISSUER, "exp": NOW + 60, "iat": NOW, "jti": jti}
    return signed_jwt({"alg": "ES256", "kid": "mine"}, members | claims, MINE)


@pytest.fixture
def by_key(service):
    add(service, "app", **BY_KEY, jwks=key_set(their_jwk(MINE, "mine")))
    return service


def with_assertion(service, path, assertion, certificate=None, **form):
    form = {"client_assertion_type": KIND, "client_assertion": assertion} | form
    return service.post(path, form, None, certificate)


@pytest.mark.parametrize("named", [{}, {"client_id": "app"}], ids=["no client_id", "its client_id"])
def test_a_client_authenticates_by_its_key_at_every_endpoint(by_key, named):
    """An assertion that the client's key signed authenticates it, at each endpoint, and once."""
    answer = with_assertion(by_key, "/oauth2/token", an_assertion(), **GRANT_TYPE, **named)
    token = answer.json["access_token"]
    refused(with_assertion(by_key, "/oauth2/token", an_assertion(), **GRANT_TYPE), 401, "invalid_client")
    shown = with_assertion(by_key, "/oauth2/introspect", an_assertion("two"), token=token, **named)
    assert shown.json["active"]
    assert with_assertion(by_key, "/oauth2/revoke", an_assertion("three"), token=token).status_code == 200
    refused(
        with_assertion(by_key, "/oauth2/revoke", an_assertion("three"), token=token), 401, "invalid_client"
    )


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"client_id": "billing"}, id="another client_id"),
        pytest.param({"client_assertion_type": "urn:x"}, id="another type"),
        pytest.param({"client_assertion": "x"}, id="no JWT"),
        pytest.param(
            {"client_assertion": an_assertion(iss="billing", sub="billing")}, id="of another client"
        ),
    ],
)
def test_another_assertion_is_refused(by_key, form):
    """An assertion that does not prove the client is invalid_client, as every refusal of a client is."""
    refused(
        with_assertion(by_key, "/oauth2/token", an_assertion(), **GRANT_TYPE | form), 401, "invalid_client"
    )


@pytest.mark.parametrize(
    "members",
    [
        pytest.param(
            {"token_endpoint_auth_method": "none", "tls_client_certificate_bound_access_tokens": True},
            id="public",
        ),
        pytest.param(
            {"token_endpoint_auth_method": "none", "dpop_bound_access_tokens": True}, id="public, by DPoP"
        ),
        pytest.param(SELF_SIGNED | {"certificates": (ONE.thumbprint,)}, id="by a certificate"),
    ],
)
def test_a_client_of_another_method_is_not_proved_by_an_assertion(service, members):
    """An assertion authenticates no client of another method, whatever it was signed with."""
    add(service, "app", **members)
    for certificate in (None, ONE):
        answer = with_assertion(service, "/oauth2/token", an_assertion(), certificate, **GRANT_TYPE)
        refused(answer, 401, "invalid_client")


def test_a_public_client_of_dpop_needs_no_certificate_to_revoke(service):
    """A public client whose tokens are bound to a key, not a certificate, is known by its name alone."""
    add(service, "app", token_endpoint_auth_method="none", dpop_bound_access_tokens=True)
    form = {"client_id": "app", "token": service.token(resource=API)}
    assert service.post("/oauth2/revoke", form).json["error"] != "invalid_client"
    refused(service.post("/oauth2/introspect", form), 401, "invalid_client")
    refused(service.post("/oauth2/revoke", form | {"client_secret": "x"}), 401, "invalid_client")
