import pymacaroons
import pytest

from macaroon_cbat.errors import CaveatsNotMet, NotCertificateBound, UnknownKey
from macaroon_cbat.macaroon.caveats import Access, confirmation
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.databases import NOW
from tests.support.service import (
    API,
    GRANT_TYPE,
    ISSUER,
    OTHER_API,
    SECRETS,
    client_metadata,
    grant_of,
    refused,
    seconds,
)


@pytest.fixture
def bound(service) -> str:
    """Register a client for certificate-bound tokens (RFC 8705 3.4)."""
    metadata = client_metadata(tls_client_certificate_bound_access_tokens=True)
    service.stores.clients.add("bound", metadata, secret=SECRETS["billing"], now=NOW)
    return "bound"


def form_of(client: str, **more: str) -> dict[str, str]:
    return GRANT_TYPE | {"client_id": client, "client_secret": SECRETS["billing"]} | more


def test_a_token_answer_is_as_oauth_says(service):
    """A token answer names the type, the lifetime and the scope, and no cache may store it (RFC 6749 5.1)."""
    answer = service.ask_token()
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert set(answer.json) == {"access_token", "token_type", "expires_in", "scope"}
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["expires_in"] == 600
    assert answer.json["scope"] == "read write audit"


def test_the_identifier_says_what_was_granted(service):
    """The identifier of a token says for whom, for what, where and how long, and who made it."""
    service.now = NOW + 0.9
    token = service.token(scope="read", resource=API)
    grant = grant_of(token)
    assert (grant.client_id, grant.sub, grant.scope, grant.aud) == ("billing", "billing", "read", API)
    assert (grant.iat, grant.exp) == (NOW, NOW + 600)
    assert grant.kid == service.stores.root_keys.current().kid
    assert read_macaroon(token).location == ISSUER.encode()


def test_every_token_is_another(service):
    """Every token has an identifier of its own: 22 characters of base64url, 128 random bits."""
    ids = [grant_of(service.token()).jti for _ in range(50)]
    assert len(set(ids)) == 50
    assert {len(one) for one in ids} == {22}
    assert len({one[:4] for one in ids}) > 40


def test_a_minted_token_verifies(service, certificate):
    """A token that the service mints and its holder binds is verified with the exported keys."""
    token = attenuate(service.token(scope="read"), [confirmation(certificate.thumbprint)])
    access = Access(now=seconds(NOW), audience=API, certificate=certificate.thumbprint)
    principal = verify(token, service.keys(), access)
    assert (principal.client_id, principal.subject) == ("billing", "billing")
    assert principal.scope == {"read"}
    assert principal.expires_at == NOW + 600


def test_a_token_of_another_audience_does_not_verify(service):
    """The keys of one audience verify no token that was minted for another."""
    token = service.token("reporting", resource=OTHER_API)
    access = Access(now=seconds(NOW), audience=API)
    with pytest.raises(UnknownKey):
        verify(token, service.keys(API), access, require_certificate=False)
    assert verify(token, service.keys(OTHER_API), Access(now=seconds(NOW), audience=OTHER_API),
                  require_certificate=False).audience == OTHER_API  # fmt: skip


def test_pymacaroons_verifies_the_chain(service, bound, certificate):
    """Another library verifies the chain of what the service mints, from the audience's key."""
    answer = service.post("/oauth2/token", form_of(bound), certificate=certificate)
    token = answer.json["access_token"]
    secret = service.keys().keys[grant_of(token).kid].secret
    verifier = pymacaroons.Verifier()
    verifier.satisfy_general(lambda _text: True)
    assert verifier.verify(pymacaroons.Macaroon.deserialize(token), secret)


def test_a_bound_client_gets_bound_tokens(service, bound, certificate, other_certificate):
    """A client that registered for bound tokens gets them with the cnf caveat of its connection."""
    answer = service.post("/oauth2/token", form_of(bound), certificate=certificate)
    token = answer.json["access_token"]
    expected = b'{"cnf":{"x5t#S256":"%s"}}' % certificate.thumbprint.encode()
    assert read_macaroon(token).caveats == (expected,)
    access = Access(now=seconds(NOW), audience=API, certificate=certificate.thumbprint)
    assert verify(token, service.keys(), access).certificate == certificate.thumbprint
    with pytest.raises(CaveatsNotMet):
        stolen = Access(now=seconds(NOW), audience=API, certificate=other_certificate.thumbprint)
        verify(token, service.keys(), stolen)


def test_a_bound_client_without_certificate_gets_nothing(service, bound):
    """A client that registered for bound tokens gets an error without a certificate (RFC 8705 3.4)."""
    answer = service.post("/oauth2/token", form_of(bound))
    assert "present a client certificate" in refused(answer, 400, "invalid_request")


def test_other_clients_get_unbound_tokens(service, certificate):
    """A client that binds its tokens itself gets one without caveats, whatever its connection shows."""
    for shown in (certificate, None):
        token = service.token(certificate=shown)
        assert read_macaroon(token).caveats == ()
        with pytest.raises(NotCertificateBound):
            verify(token, service.keys(), Access(now=seconds(NOW), audience=API))


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        pytest.param({}, "read write audit", id="all by default"),
        pytest.param({"scope": ""}, "read write audit", id="all for an empty parameter"),
        pytest.param({"scope": "write"}, "write", id="one of them"),
        pytest.param({"scope": "audit read"}, "read audit", id="two of them, in the order of registration"),
        pytest.param({"scope": "read read"}, "read", id="one of them, asked for twice"),
    ],
)
def test_the_scope_is_what_was_asked_for(service, asked, granted):
    """The granted scope is the part of the registered one that was asked for, and the answer says it."""
    answer = service.ask_token(**asked)
    assert answer.json["scope"] == granted
    assert grant_of(answer.json["access_token"]).scope == granted


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param("delete", id="unknown"),
        pytest.param("read delete", id="one known, one not"),
        pytest.param("READ", id="in another case"),
        pytest.param(" read", id="a space in front"),
        pytest.param("read ", id="a space at the end"),
        pytest.param("read  write", id="two spaces"),
        pytest.param(" ", id="a space only"),
        pytest.param("read\twrite", id="a tab"),
        pytest.param('read"', id="a quote"),
        pytest.param("rëad", id="no ASCII"),
        pytest.param("x" * 5000, id="very long"),
    ],
)
def test_another_scope_is_refused(service, scope):
    """A scope that is malformed or not registered for the client is invalid_scope (RFC 6749 5.2)."""
    assert len(refused(service.ask_token(scope=scope), 400, "invalid_scope")) < 200


@pytest.mark.parametrize(
    ("client", "asked", "audience"),
    [
        pytest.param("billing", {}, API, id="the only one by default"),
        pytest.param("billing", {"resource": API}, API, id="the only one, named"),
        pytest.param("reporting", {"resource": OTHER_API}, OTHER_API, id="one of several, named"),
    ],
)
def test_a_token_has_one_audience(service, client, asked, audience):
    """A token is for the one resource that was asked for, or for the only one of its client (RFC 8707)."""
    assert grant_of(service.token(client, **asked)).aud == audience


@pytest.mark.parametrize(
    ("client", "asked"),
    [
        pytest.param("billing", {"resource": OTHER_API}, id="of another client"),
        pytest.param("billing", {"resource": API + "//"}, id="that only looks like it"),
        pytest.param("billing", {"resource": API + "/a"}, id="below it"),
        pytest.param("billing", {"resource": "api"}, id="that is no URI"),
        pytest.param("billing", {"resource": f"{API} {OTHER_API}"}, id="two in one"),
        pytest.param("reporting", {}, id="none, of several"),
        pytest.param("reporting", {"resource": ""}, id="an empty one, of several"),
    ],
)
def test_another_resource_is_refused(service, client, asked):
    """A resource that is not registered for the client, or not named among several, is invalid_target."""
    refused(service.ask_token(client, **asked), 400, "invalid_target")


def test_a_client_without_audience_gets_tokens_of_the_issuer(service):
    """A client without any audience gets tokens that no resource server verifies offline."""
    service.stores.clients.add("nowhere", client_metadata(audiences=()), secret=SECRETS["billing"], now=NOW)
    token = service.post("/oauth2/token", form_of("nowhere")).json["access_token"]
    assert grant_of(token).audience is None
    for audience in (API, OTHER_API):
        with pytest.raises(UnknownKey):
            access = Access(now=seconds(NOW), audience=audience)
            verify(token, service.keys(audience), access, require_certificate=False)
    refused(service.post("/oauth2/token", form_of("nowhere", resource=API)), 400, "invalid_target")


@pytest.mark.parametrize("lifetime", [1, 60, 86_400])
def test_the_lifetime_is_a_setting(start, lifetime):
    """A token lives as long as the setting says, and the answer says so."""
    answer = start(token_lifetime=lifetime).ask_token()
    assert answer.json["expires_in"] == lifetime
    assert grant_of(answer.json["access_token"]).exp == NOW + lifetime


def test_a_rotation_changes_the_key_of_new_tokens(new_service):
    """After a rotation new tokens are of the new key, and the old ones verify until they expire."""
    service = new_service
    old = service.token()
    record = service.stores.root_keys.rotate(NOW)
    keys = service.keys()
    access = Access(now=seconds(NOW), audience=API)
    assert verify(old, keys, access, require_certificate=False).client_id == "billing"
    service.close()
    service.__post_init__()
    assert grant_of(service.token()).kid == record.kid != grant_of(old).kid
