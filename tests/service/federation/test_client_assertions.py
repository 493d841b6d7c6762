from dataclasses import replace

import pytest
from authlib.oauth2.rfc7523 import private_key_jwt_sign
from authlib.oauth2.rfc7523.assertion import sign_jwt_bearer_assertion
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey

from macaroon_cbat.errors import InvalidClient, Unavailable
from macaroon_cbat.service.federation.client_assertions import ASSERTION_TYPES, client_of_assertion
from macaroon_cbat.service.federation.federation import federation_of
from macaroon_cbat.service.waiting_threads import WaitingThreads
from macaroon_cbat.stores.grant_types import JWT_BEARER, TOKEN_EXCHANGE
from tests.support.databases import NOW
from tests.support.federated import IDP, PEOPLE, WORKLOAD, a_jwt, register, trust
from tests.support.foreign_tokens import ec_key, key_set, pem_of, public_jwk, signed_jwt
from tests.support.refresh import REFRESH, begun
from tests.support.service import API, ISSUER, OTHER_API, grant_of, refused

TOKEN_ENDPOINT = f"{ISSUER}/oauth2/token"
MINE = ec_key(31)
HEADER = {"alg": "ES256", "kid": "mine"}
JWT, SPIFFE = ASSERTION_TYPES


@pytest.fixture
def by_key(service):
    """Return a service with a client that authenticates by its registered key."""
    register(
        service,
        "robot",
        token_endpoint_auth_method="private_key_jwt",
        jwks=key_set(public_jwk(MINE, "mine")),
    )
    return service


@pytest.fixture
def by_workload(service):
    """Return a service with a client that a trusted issuer's JWT authenticates."""
    register(service, "deployer", token_endpoint_auth_method="private_key_jwt")
    trust(service, uses=["client-authentication"])
    return service


def an_assertion(header=None, key=MINE, **claims) -> str:
    """Return an assertion of the client, changed by these members."""
    members = {"iss": "robot", "sub": "robot", "aud": ISSUER, "exp": NOW + 60, "iat": NOW, "jti": "one"}
    present = {name: value for name, value in {**members, **claims}.items() if value is not None}
    return signed_jwt({**HEADER, **(header or {})}, present, key)


def proved(service, assertion, *, kind=JWT, client_id=None, now=NOW, federation=None):
    """Return the client that an assertion proves."""
    federation = federation or federation_of(service.stores, {ISSUER, TOKEN_ENDPOINT}, WaitingThreads(4))
    return client_of_assertion(
        federation, service.stores.clients, kind, assertion, client_id=client_id, now=now
    )


@pytest.mark.parametrize("audience", [ISSUER, TOKEN_ENDPOINT, [ISSUER], [ISSUER, TOKEN_ENDPOINT]])
def test_a_client_authenticates_by_its_key(by_key, audience):
    """An assertion that the client's registered key signed proves the client (RFC 7523 2.2)."""
    assert proved(by_key, an_assertion(aud=audience)).client_id == "robot"


def test_an_assertion_is_used_once(by_key):
    """An assertion is used once, and its id is used once, by every process."""
    assert proved(by_key, an_assertion()).client_id == "robot"
    with pytest.raises(InvalidClient, match="used before"):
        proved(by_key, an_assertion())
    with pytest.raises(InvalidClient, match="used before"):
        proved(by_key, an_assertion(exp=NOW + 61))
    assert proved(by_key, an_assertion(jti="two"))


REFUSED = {
    "no-id": {"jti": None},
    "no-end": {"exp": None},
    "expired": {"exp": NOW},
    "long": {"exp": NOW + 3600 + 31},
    "early": {"nbf": NOW + 31},
    "no-audience": {"aud": None},
    "other-audience": {"aud": "https://other.example"},
    "two-audiences": {"aud": [ISSUER, "https://other.example"]},
    "introspection-endpoint": {"aud": f"{ISSUER}/oauth2/introspect"},
    "longer-audience": {"aud": f"{ISSUER}.evil.example"},
    "other-issuer": {"iss": "billing"},
    "no-issuer": {"iss": None},
    "other-subject": {"sub": "billing"},
    "no-subject": {"sub": None},
    "url-issuer": {"iss": "https://evil.example"},
    "hmac": {"header": {"alg": "HS256"}, "key": pem_of(MINE)},
    "unsigned": {"header": {"alg": "none"}},
    "thief": {"key": ec_key(32)},
    "embedded": {"key": ec_key(32), "header": {"jwk": public_jwk(ec_key(32)), "kid": "evil"}},
    "crit": {"header": {"crit": ["exp"]}},
    "proof": {"header": {"typ": "dpop+jwt"}},
    "access-token": {"header": {"typ": "at+jwt"}},
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_a_bad_assertion(by_key, changes):
    """An assertion of another client, moment, server or key is refused, and uses no id up."""
    with pytest.raises(InvalidClient):
        proved(by_key, an_assertion(**changes))
    assert proved(by_key, an_assertion())


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "x" * 20_000])
def test_text_that_is_no_assertion(by_key, text):
    """Any text in the place of an assertion is invalid_client."""
    with pytest.raises(InvalidClient):
        proved(by_key, text)


def test_another_type_of_assertion(by_key):
    """A type of assertion that is not known here is refused."""
    with pytest.raises(InvalidClient, match="client_assertion_type"):
        proved(by_key, an_assertion(), kind="urn:ietf:params:oauth:client-assertion-type:saml2-bearer")


def test_the_client_that_the_request_names(by_key):
    """A client_id beside the assertion must be the client's own (RFC 7521 4.2)."""
    with pytest.raises(InvalidClient):
        proved(by_key, an_assertion(), client_id="billing")
    assert proved(by_key, an_assertion(), client_id="robot")


def test_a_client_of_another_method(service):
    """A client that is registered for a secret is not proved by an assertion."""
    with pytest.raises(InvalidClient, match="client_secret_basic"):
        proved(service, an_assertion(iss="billing", sub="billing"))


def test_a_client_without_a_key(by_workload):
    """A client whose workload's issuer proves it has no key of its own to sign by."""
    with pytest.raises(InvalidClient, match="no key of its own"):
        proved(by_workload, an_assertion(iss="deployer", sub="deployer"))


def test_keys_at_the_url_of_the_client(service, issuer):
    """The keys at the client's jwks_uri prove it; a host with a private address is not reached."""
    issuer.publish("/jwks", key_set(public_jwk(MINE, "mine")))
    register(service, "robot", token_endpoint_auth_method="private_key_jwt", jwks_uri=f"{issuer.url}/jwks")
    with pytest.raises(Unavailable, match="not public"):
        proved(service, an_assertion())
    assert issuer.asked == []


def test_the_jwt_of_a_workload_proves_its_client(by_workload):
    """A trusted issuer's JWT proves the mapped client, as narrow as the trust."""
    client = proved(by_workload, a_jwt())
    assert client.client_id == "deployer"
    assert (client.metadata.scope, client.metadata.audiences) == ("read write", (API,))


def test_the_jwt_of_a_workload_is_used_once(by_workload):
    """A workload's JWT authenticates once, unless the trust says that it is reusable."""
    token = a_jwt()
    assert proved(by_workload, token)
    with pytest.raises(InvalidClient, match="used before"):
        proved(by_workload, token)


def test_trust_without_bounds(service):
    """Trust for client authentication alone may leave the client's rights as they are."""
    register(service, "deployer", token_endpoint_auth_method="private_key_jwt", scope="read audit")
    bare = {name: value for name, value in WORKLOAD.items() if name not in ("scope", "resources")}
    trust(service, members=bare, uses=["client-authentication"])
    assert proved(service, a_jwt()).metadata.scope == "read audit"


@pytest.mark.parametrize(
    "claims",
    [{"sub": "x"}, {"aud": API}, {"exp": NOW}, {"cnf": {"jkt": "x"}}, {"may_act": {}}],
    ids=["subject", "audience", "expired", "bound", "may-act"],
)
def test_the_jwt_of_another_workload(by_workload, claims):
    """A JWT that does not fit the trust authenticates no client."""
    with pytest.raises(InvalidClient):
        proved(by_workload, a_jwt(**claims))


def test_trust_for_grants_alone(service):
    """A JWT whose trust is for grants authenticates no client."""
    register(service, "deployer", token_endpoint_auth_method="private_key_jwt")
    trust(service)
    with pytest.raises(InvalidClient, match="not trusted for client-authentication"):
        proved(service, a_jwt())


def test_a_workload_of_a_client_with_a_secret(service):
    """A client that is registered for a secret is proved by no JWT: each client has one method."""
    register(service, "deployer")
    trust(service, uses=["client-authentication"])
    with pytest.raises(InvalidClient, match="client_secret_basic"):
        proved(service, a_jwt())


def test_a_jwt_svid_proves_a_client(service):
    """A JWT-SVID, which has no issuer, proves the client that its SPIFFE ID maps to."""
    register(service, "pay", token_endpoint_auth_method="private_key_jwt")
    domain = "spiffe://prod.example"
    trust(
        service,
        issuer=domain,
        client="pay",
        claims={"sub": f"{domain}/ns/pay/sa/*"},
        uses=["client-authentication"],
    )
    svid = a_jwt(iss=None, jti=None, sub=f"{domain}/ns/pay/sa/api")
    assert proved(service, svid, kind=SPIFFE, client_id="pay").client_id == "pay"
    with pytest.raises(InvalidClient):
        proved(service, a_jwt(iss=None, sub=f"{domain}/ns/web/sa/api"), kind=SPIFFE)


def with_assertion(service, proof, path="token", **form):
    """Send a request that is authenticated by an assertion."""
    members = {"client_assertion_type": JWT, "client_assertion": proof}
    return service.open(f"/oauth2/{path}", data={**members, **form})


def credentials(service, assertion, **form):
    return with_assertion(service, assertion, grant_type="client_credentials", resource=API, **form)


@pytest.fixture
def robot(service):
    """Return a service with a client for client_credentials that authenticates by its registered key."""
    register(
        service,
        "robot",
        grant_types=("client_credentials",),
        token_endpoint_auth_method="private_key_jwt",
        jwks=key_set(public_jwk(MINE, "mine")),
    )
    return service


def test_a_token_by_an_assertion(robot):
    """A client that authenticates by its key gets a token, and asks other endpoints in the same way."""
    answer = credentials(robot, an_assertion(), client_id="robot")
    assert answer.status_code == 200, answer.text
    token = answer.json["access_token"]
    assert grant_of(token).client_id == "robot"
    shown = with_assertion(robot, an_assertion(jti="two"), "introspect", token=token)
    assert shown.json["client_id"] == "robot"
    assert with_assertion(robot, an_assertion(jti="three"), "revoke", token=token).status_code == 200
    assert not robot.introspect(token)["active"]


@pytest.mark.parametrize(
    "changes",
    [{"exp": NOW}, {"aud": "https://other.example"}, {"key": ec_key(32)}, {"header": {"alg": "none"}}],
    ids=["expired", "audience", "thief", "unsigned"],
)
def test_a_bad_assertion_is_invalid_client(robot, changes):
    """A bad assertion is the same invalid_client as a wrong secret, without a reason."""
    description = refused(credentials(robot, an_assertion(**changes)), 401, "invalid_client")
    assert description == "client authentication failed"


def test_a_replayed_assertion(robot):
    """An assertion that was used at one endpoint is used at no other."""
    assertion = an_assertion()
    assert credentials(robot, assertion).status_code == 200
    refused(credentials(robot, assertion), 401, "invalid_client")
    refused(with_assertion(robot, assertion, "introspect", token="x"), 401, "invalid_client")


def test_an_assertion_and_a_secret(robot):
    """A request with two authentications is refused before any is looked at (RFC 6749 2.3)."""
    assertion = an_assertion()
    refused(credentials(robot, assertion, client_id="robot", client_secret="x"), 400, "invalid_request")
    assert credentials(robot, assertion).status_code == 200


def test_half_an_assertion(robot):
    """An assertion without its type, or a type without an assertion, authenticates no client."""
    for half in ({"client_assertion": an_assertion()}, {"client_assertion_type": JWT}):
        form = {"grant_type": "client_credentials", **half}
        assert robot.open("/oauth2/token", data=form).status_code in (400, 401)


def test_a_workload_gets_a_token_in_the_name_of_its_client(service):
    """A workload's JWT authenticates its client for client_credentials, within the bounds of the trust."""
    register(
        service,
        "deployer",
        grant_types=("client_credentials",),
        token_endpoint_auth_method="private_key_jwt",
    )
    trust(service, uses=["client-authentication"])
    answer = credentials(service, a_jwt())
    assert (answer.status_code, answer.json["scope"]) == (200, "read write"), answer.text
    refused(credentials(service, a_jwt(), scope="audit"), 400, "invalid_scope")
    refused(credentials(service, a_jwt(sub="x")), 401, "invalid_client")


@pytest.mark.parametrize(
    ("registered", "form"),
    [
        ({"audiences": (API,)}, {}),
        ({"audiences": ()}, {}),
        ({"audiences": (), "scope": "admin"}, {"resource": ISSUER}),
    ],
    ids=["of another audience", "of any audience", "of the service itself"],
)
def test_a_workload_whose_client_and_trust_have_no_resource_in_common(service, registered, form):
    """Nothing in common is no right: no token for every audience, and none for the service itself."""
    by_jwt = {"grant_types": ("client_credentials",), "token_endpoint_auth_method": "private_key_jwt"}
    register(service, "deployer", **by_jwt, **registered)
    trust(service, uses=["client-authentication"], resources=[OTHER_API], scope="read admin")
    answer = with_assertion(service, a_jwt(), grant_type="client_credentials", **form)
    refused(answer, 400, "invalid_target")


@pytest.mark.parametrize("door", ["refresh", "exchange"])
def test_a_grant_opens_no_more_than_the_trust_of_its_workload(service, door):
    """A workload gets no token for a resource beyond its trust, whatever its client was granted before."""
    by_jwt = {"grant_types": (*REFRESH, TOKEN_EXCHANGE), "token_endpoint_auth_method": "private_key_jwt"}
    register(service, "deployer", **by_jwt, redirect_uris=("https://app.example/back",))
    trust(service, uses=["client-authentication"], resources=[OTHER_API])
    forms = {
        "refresh": {"grant_type": "refresh_token", "refresh_token": begun(service, "deployer")},
        "exchange": {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": service.minted(client_id="deployer"),
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        },
    }
    refused(with_assertion(service, a_jwt(), **forms[door]), 400, "invalid_target")


def test_a_person_s_jwt_and_a_client_assertion(by_key):
    """A client that authenticates by its key presents the JWT of a person."""
    trust(by_key, members=PEOPLE)
    answer = with_assertion(by_key, an_assertion(), grant_type=JWT_BEARER, assertion=a_jwt(sub="alice"))
    assert answer.status_code == 200, answer.text
    assert grant_of(answer.json["access_token"]).sub == "idp:alice"
    refused(
        with_assertion(by_key, an_assertion(), grant_type=JWT_BEARER, assertion=a_jwt(sub="alice")),
        401,
        "invalid_client",
    )


def test_what_authlib_writes(by_key):
    """Assertions that Authlib's client signs, for a client and for a grant, are taken as they are."""
    private = ECKey.import_key(MINE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    mine = private_key_jwt_sign(private, "robot", TOKEN_ENDPOINT, alg="ES256", issued_at=NOW)
    assert proved(by_key, mine).client_id == "robot"
    trust(by_key, members=PEOPLE, jwks=key_set(public_jwk(MINE)))
    hers = sign_jwt_bearer_assertion(
        private, IDP, ISSUER, subject="alice", issued_at=NOW, header={"alg": "ES256"}
    )
    answer = with_assertion(by_key, an_assertion(), grant_type=JWT_BEARER, assertion=hers)
    assert grant_of(answer.json["access_token"]).sub == "idp:alice"


def test_a_registered_key_that_is_not_for_verifying(service):
    """A registered key that is of no use here proves no client, and breaks no request."""
    useless = key_set(public_jwk(MINE, "mine", key_ops=["sign"]))
    register(service, "robot", token_endpoint_auth_method="private_key_jwt", jwks=useless)
    with pytest.raises(InvalidClient, match="of no use"):
        proved(service, an_assertion())


@pytest.mark.parametrize(
    ("claims", "is_taken"),
    [
        ({"iat": NOW}, False),
        ({"iat": NOW + 30}, False),
        ({"iat": NOW + 31}, True),
        ({"iat": None, "exp": NOW + 60}, False),
        ({"iat": None, "exp": NOW + 3631}, True),
    ],
    ids=["before", "within a clock's error", "after", "unknown", "certainly after"],
)
def test_what_may_have_been_used_before_a_restore_is_refused(by_key, claims, is_taken):
    """After a restore, which forgot what was used, an assertion from before it is refused."""
    federation = replace(federation_of(by_key.stores, {ISSUER}, WaitingThreads(4)), restored_at=NOW)
    asked = {"federation": federation, "now": NOW + 31}
    assertion = an_assertion(**{"exp": NOW + 300, "aud": ISSUER, **claims})
    if is_taken:
        assert proved(by_key, assertion, **asked).client_id == "robot"
        return
    with pytest.raises(InvalidClient, match="used before the database was restored"):
        proved(by_key, assertion, **asked)
