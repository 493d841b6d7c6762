from concurrent.futures import ThreadPoolExecutor

import pytest
from joserfc.jws import JWSRegistry

from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.macaroon.inspection import confirmations
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.service.throttle.settings import ThrottleSettings
from macaroon_cbat.stores.grant_types import JWT_BEARER, TOKEN_EXCHANGE
from macaroon_cbat.text.base64url import decode, encode
from tests.support.databases import NOW
from tests.support.dpop import jkt, key, proof
from tests.support.failing_database import failing_at_statement
from tests.support.federated import (
    DEPLOYER,
    IDP,
    PEOPLE,
    a_jwt,
    ask,
    bear,
    distrust,
    register,
    trust,
)
from tests.support.foreign_tokens import ec_key, segment
from tests.support.service import API, ISSUER, OTHER_API, grant_of, refused

STATEMENTS = ("SELECT expiring_records", "DELETE FROM expiring_records", "INSERT INTO expiring_records")
BY_KEY = {"token_endpoint_auth_method": "private_key_jwt"}


@pytest.fixture
def trusting(service):
    """Return a service that trusts an issuer for one workload, which is a client."""
    register(service, "deployer", **BY_KEY)
    trust(service)
    return service


@pytest.fixture
def with_people(service):
    """Return a service that trusts an issuer for subjects, and has clients that may act for them."""
    register(service, "web")
    register(service, "phone")
    trust(service, members=PEOPLE)
    return service


def test_the_jwt_of_a_workload_becomes_a_macaroon(trusting):
    """The JWT that fits is the credential of the mapped client, which gets what client and trust allow."""
    answer = bear(trusting, a_jwt())
    assert answer.status_code == 200, answer.text
    grant = grant_of(answer.json["access_token"])
    assert (grant.client_id, grant.sub, grant.aud, grant.scope) == ("deployer", "deployer", API, "read write")
    assert answer.json.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (answer.json["expires_in"], answer.json["scope"]) == (600, "read write")
    assert trusting.introspect(answer.json["access_token"])["active"]


def test_the_jwt_of_a_person_becomes_a_macaroon_of_an_authenticated_client(with_people):
    """A trust with a subject names the subject, below the name of the trust, and the client is the caller."""
    answer = bear(with_people, a_jwt(sub="alice"), "web")
    assert answer.status_code == 200, answer.text
    grant = grant_of(answer.json["access_token"])
    assert (grant.client_id, grant.sub, grant.scope) == ("web", "idp:alice", "read")


def test_a_jwt_is_used_once(trusting):
    """A JWT that was used is refused, whatever else the request asks."""
    token = a_jwt()
    assert bear(trusting, token).status_code == 200
    refused(bear(trusting, token), 400, "invalid_grant")
    refused(bear(trusting, token, scope="read"), 400, "invalid_grant")


def test_a_second_signature_makes_no_second_token(trusting):
    """A JWT without jti is known by what is signed: ECDSA has a second signature for it."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    token = a_jwt(jti=None)
    head, _, tail = token.rpartition(".")
    raw = decode(tail)
    other = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    assert bear(trusting, token).status_code == 200
    description = refused(bear(trusting, f"{head}.{encode(other)}"), 400, "invalid_grant")
    assert "used before" in description


def test_a_refused_request_leaves_the_jwt_usable(trusting):
    """A request that is refused for its scope or resource uses no JWT up: the client corrects it."""
    token = a_jwt()
    refused(bear(trusting, token, scope="audit"), 400, "invalid_scope")
    refused(bear(trusting, token, resource=OTHER_API), 400, "invalid_target")
    assert bear(trusting, token, scope="write", resource=API).status_code == 200


@pytest.mark.parametrize("door", ["jwt-bearer", "token-exchange"])
def test_an_outage_leaves_the_jwt_usable(trusting, door):
    """A JWT whose token cannot be audited, or for which the database fails, is good for one token later."""
    token = a_jwt()
    forms = {
        "jwt-bearer": {"grant_type": JWT_BEARER, "assertion": token},
        "token-exchange": {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        },
    }
    write_log_to("/dev/full")
    refused(ask(trusting, forms[door]), 503, "temporarily_unavailable")
    write_log_to(None)
    engine = trusting.app.extensions["macaroon_cbat"].database.engine
    for statement in STATEMENTS:
        with failing_at_statement(engine, statement):
            refused(ask(trusting, forms[door]), 503, "temporarily_unavailable")
    assert [ask(trusting, forms[door]).status_code for _ in range(2)] == [200, 400]


def test_a_jwt_is_used_once_of_many_at_once(on_each_database):
    """Of many requests with one JWT at the same instant, one gets a token: the database decides."""
    service = on_each_database
    register(service, "deployer", **BY_KEY)
    trust(service)
    token = a_jwt()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: bear(service, token).status_code, range(8)))
    assert sorted(answers) == [200] + [400] * 7


def test_details_that_are_refused_leave_the_jwt_usable(trusting):
    """A request with malformed authorization details uses no JWT up."""
    token = a_jwt()
    refused(bear(trusting, token, authorization_details="x"), 400, "invalid_authorization_details")
    assert bear(trusting, token).status_code == 200


def test_the_jwt_of_a_workload_counts_as_its_clients_request(start):
    """A client has no more requests in a minute by its JWT alone than by credentials; a used JWT is none."""
    service = start(throttle=ThrottleSettings(client_requests=2))
    register(service, "deployer", **BY_KEY)
    trust(service)
    used = a_jwt()
    answers = [bear(service, token).status_code for token in (used, used, used, a_jwt(), a_jwt())]
    assert answers == [200, 400, 400, 200, 429]


def test_a_reusable_jwt(service):
    """A trust may say that JWTs are presented until they end, as projected tokens of Kubernetes are."""
    register(service, "deployer", **BY_KEY)
    trust(service, reusable=True)
    token = a_jwt()
    assert bear(service, token).status_code == 200
    assert bear(service, token).status_code == 200
    service.now = NOW + 300
    refused(bear(service, token), 400, "invalid_grant")


def test_the_macaroon_of_an_assertion_may_outlive_it(trusting):
    """An assertion is a credential for one request: the token has the lifetime that the service gives."""
    grant = grant_of(bear(trusting, a_jwt(exp=NOW + 5)).json["access_token"])
    assert grant.exp == NOW + 600


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": NOW}, "expired"),
        ({"aud": "https://other.example"}, "another audience"),
        ({"sub": "system:other"}, "not one that is trusted"),
        ({"iss": "https://evil.example"}, "not one that is trusted"),
        ({"nbf": NOW + 60}, "not valid yet"),
        ({"exp": None}, "no exp"),
        ({"cnf": {"jkt": "x"}}, "bound to another key"),
        ({"cnf": {}}, "bound to a key"),
        ({"cnf": None, "may_act": {"sub": "x"}}, "may_act"),
    ],
    ids=["expired", "audience", "subject", "issuer", "early", "endless", "key-bound", "empty-cnf", "may-act"],
)
def test_a_jwt_that_does_not_fit(trusting, claims, words):
    """A JWT that does not fit is invalid_grant (RFC 7521 4.1.1)."""
    assert words in refused(bear(trusting, a_jwt(**claims)), 400, "invalid_grant")


def test_a_jwt_of_another_key(trusting):
    """A JWT that another key signed is invalid_grant."""
    refused(bear(trusting, a_jwt(ec_key(12))), 400, "invalid_grant")


@pytest.mark.parametrize("assertion", ["x", "a.b.c", "..", "\u00e9.\u00e9.\u00e9", "x" * 40_000])
def test_text_that_is_no_jwt(trusting, assertion):
    """Any text in the place of a JWT is invalid_grant."""
    refused(bear(trusting, assertion), 400, "invalid_grant")


def test_a_missing_assertion(trusting):
    """A request without an assertion is invalid_request, and one with two as well."""
    refused(bear(trusting, ""), 400, "invalid_request")
    refused(bear(trusting, [a_jwt(), a_jwt()]), 400, "invalid_request")


def test_a_removed_trust(trusting):
    """A JWT of an issuer that is trusted no more is refused."""
    distrust(trusting)
    refused(bear(trusting, a_jwt()), 400, "invalid_grant")


def test_a_removed_client(trusting):
    """A trust for a client that is not registered any more gives nothing."""
    trusting.stores.clients.remove("deployer", lambda: NOW, lasting=86_400)
    trusting.app.extensions["macaroon_cbat"].forget()
    refused(bear(trusting, a_jwt()), 400, "invalid_grant")


def test_a_client_that_is_not_registered_for_the_grant(service):
    """A trust makes no grant: the client must be registered for it."""
    register(service, "deployer", grant_types=("client_credentials",), **BY_KEY)
    trust(service)
    refused(bear(service, a_jwt()), 400, "unauthorized_client")


def test_the_trust_bounds_the_client(trusting):
    """A scope that the client has and the trust has not is refused, and never granted by default."""
    refused(bear(trusting, a_jwt(), scope="read audit"), 400, "invalid_scope")
    assert bear(trusting, a_jwt()).json["scope"] == "read write"


def test_the_client_bounds_the_trust(service):
    """A scope that the trust has and the client has not is not granted."""
    register(service, "deployer", scope="write", **BY_KEY)
    trust(service)
    assert bear(service, a_jwt()).json["scope"] == "write"


def test_nothing_in_common(service):
    """A client and a trust without a scope in common give nothing."""
    register(service, "deployer", scope="audit", **BY_KEY)
    trust(service)
    refused(bear(service, a_jwt()), 400, "invalid_scope")


def test_a_client_without_an_audience(service):
    """A client without audiences gets no token by a trust for one: every server would take it."""
    register(service, "deployer", audiences=(), **BY_KEY)
    trust(service)
    refused(bear(service, a_jwt()), 400, "invalid_target")
    refused(bear(service, a_jwt(), resource=API), 400, "invalid_target")


def test_the_service_itself_is_no_resource_of_a_trust(service):
    """A JWT of a client with the scope admin opens the service itself only if its trust says so."""
    register(service, "deployer", scope="read", **BY_KEY)
    trust(service)
    refused(bear(service, a_jwt(), resource=ISSUER), 400, "invalid_target")


def test_people_need_a_client(with_people):
    """A JWT that names a subject is no credential of a client: a request without one is invalid_client."""
    refused(bear(with_people, a_jwt(sub="alice")), 401, "invalid_client")
    refused(bear(with_people, a_jwt(sub="alice"), client_id="web"), 401, "invalid_client")


def test_a_trust_for_one_client(service):
    """A trust with client and subject is for that client alone."""
    register(service, "web")
    register(service, "phone")
    trust(service, members=PEOPLE, client="web")
    token = a_jwt(sub="alice")
    refused(bear(service, token, "phone"), 400, "invalid_grant")
    assert grant_of(bear(service, token, "web").json["access_token"]).sub == "idp:alice"


def test_credentials_of_another_client(trusting):
    """A client that authenticates beside the JWT of another is refused."""
    register(trusting, "web")
    refused(bear(trusting, a_jwt(), "web"), 400, "invalid_grant")
    refused(bear(trusting, a_jwt(), client_id="web"), 400, "invalid_grant")
    refused(bear(trusting, a_jwt(), client_id="deployer", client_secret="x"), 401, "invalid_client")
    assert bear(trusting, a_jwt(), client_id="deployer").status_code == 200


def test_a_subject_never_has_the_name_of_a_client(with_people):
    """A person who is named like a client is another subject than that client."""
    grant = grant_of(bear(with_people, a_jwt(sub="billing"), "web").json["access_token"])
    assert grant.sub == "idp:billing"


def test_several_workloads_of_one_issuer(service):
    """Each JWT is that of the one workload whose claims it has."""
    register(service, "deployer", **BY_KEY)
    register(service, "backup", **BY_KEY)
    trust(service)
    trust(service, "backup", client="backup", claims={"sub": "system:backup"})
    assert grant_of(bear(service, a_jwt()).json["access_token"]).client_id == "deployer"
    assert grant_of(bear(service, a_jwt(sub="system:backup")).json["access_token"]).client_id == "backup"


def test_two_trusts_that_fit(service):
    """A JWT that fits two trusts is refused, unless the request names the client of one."""
    register(service, "deployer", **BY_KEY)
    register(service, "backup", **BY_KEY)
    trust(service)
    trust(service, "backup", client="backup")
    refused(bear(service, a_jwt()), 400, "invalid_grant")
    answer = bear(service, a_jwt(), client_id="backup")
    assert grant_of(answer.json["access_token"]).client_id == "backup"


def test_a_token_is_verified_once_for_each_key_set(service, monkeypatch):
    """However many workloads of one issuer are trusted, a forged JWT costs the signatures of one trust."""
    register(service, "deployer", **BY_KEY)
    for number in range(5):
        trust(service, f"workflow-{number}", claims={"sub": f"repo:octo/{number}"})
    trust(service, "narrower", algorithms=["ES256"])
    model, verified = JWSRegistry.algorithms["ES256"], []
    verify = type(model).verify

    def counted(*arguments):
        verified.append(1)
        return verify(*arguments)

    monkeypatch.setattr(type(model), "verify", counted)
    refused(bear(service, a_jwt(ec_key(12))), 400, "invalid_grant")
    assert len(verified) == 2
    assert bear(service, a_jwt(sub="repo:octo/3")).status_code == 200


def test_the_same_id_of_two_issuers(trusting):
    """A token id is used up for its own issuer alone."""
    other = "https://other-idp.example"
    trust(trusting, "other", issuer=other)
    assert bear(trusting, a_jwt(jti="one")).status_code == 200
    assert bear(trusting, a_jwt(jti="one", iss=other)).status_code == 200
    refused(bear(trusting, a_jwt(jti="one")), 400, "invalid_grant")


def test_a_trust_for_another_door(service):
    """A trust for token exchange alone takes no assertion."""
    register(service, "deployer", **BY_KEY)
    trust(service, uses=["token-exchange"])
    refused(bear(service, a_jwt()), 400, "invalid_grant")


def test_a_bound_client_gets_a_bound_token(service, certificate):
    """The registration says whether the token is bound: without a certificate there is none."""
    register(service, "deployer", tls_client_certificate_bound_access_tokens=True, **BY_KEY)
    trust(service)
    token = a_jwt()
    form = {"grant_type": JWT_BEARER, "assertion": token}
    refused(service.open("/oauth2/token", None, data=form), 400, "invalid_request")
    answer = service.open("/oauth2/token", certificate, data=form)
    assert confirmations(read_macaroon(answer.json["access_token"])) == {certificate.thumbprint}


def test_a_bound_jwt_becomes_a_bound_macaroon(trusting, certificate, other_certificate):
    """A JWT that is bound to a certificate needs it on the connection, and binds the macaroon."""
    form = {
        "grant_type": JWT_BEARER,
        "assertion": a_jwt(cnf={"x5t#S256": certificate.thumbprint}),
    }
    refused(trusting.open("/oauth2/token", None, data=form), 400, "invalid_grant")
    refused(trusting.open("/oauth2/token", other_certificate, data=form), 400, "invalid_grant")
    answer = trusting.open("/oauth2/token", certificate, data=form)
    assert confirmations(read_macaroon(answer.json["access_token"])) == {certificate.thumbprint}


def test_a_revoked_certificate(trusting, certificate):
    """A revoked certificate opens nothing, also where the JWT alone would."""
    trusting.stores.revocations.revoke(
        "certificate", certificate.thumbprint, now=NOW, expires_at=NOW + 86_400
    )
    trusting.app.extensions["macaroon_cbat"].forget()
    form = {"grant_type": JWT_BEARER, "assertion": a_jwt()}
    refused(trusting.open("/oauth2/token", certificate, data=form), 401, "invalid_client")


def test_a_jwt_that_is_bound_to_a_dpop_key(trusting):
    """A JWT that is bound to a DPoP key needs a proof by that key, and binds the macaroon to it."""
    form = {"grant_type": JWT_BEARER, "assertion": a_jwt(cnf={"jkt": jkt(key())})}
    refused(ask(trusting, form), 400, "invalid_grant")
    refused(ask(trusting, form, proof=a_proof(key("ES256", "thief"))), 400, "invalid_grant")
    answer = ask(trusting, form, proof=a_proof())
    assert (answer.status_code, answer.json["token_type"]) == (200, "DPoP")
    assert jkt(key()) in str(read_macaroon(answer.json["access_token"]).caveats)


def test_a_missing_proof_leaves_the_jwt_usable(service):
    """A client that must send a DPoP proof, and does not, keeps its JWT for the next request."""
    register(service, "deployer", dpop_bound_access_tokens=True, **BY_KEY)
    trust(service)
    form = {"grant_type": JWT_BEARER, "assertion": a_jwt()}
    refused(ask(service, form), 400, "invalid_dpop_proof")
    assert ask(service, form, proof=a_proof()).status_code == 200


def a_proof(by=None) -> str:
    """Return a DPoP proof for a token request."""
    return proof(private=by, htm="POST", htu=f"{ISSUER}/oauth2/token", iat=NOW)


def test_the_operators_policy_is_not_told(trusting, caplog):
    """A caller with a signed JWT learns neither the claims nor the client nor the names of any trust."""
    trust(trusting, "backup", client="deployer", claims={"sub": "system:backup"})
    told = refused(bear(trusting, a_jwt(sub="system:other")), 400, "invalid_grant")
    assert not any(secret in told for secret in (DEPLOYER, "backup", "deployer", "idp", "sub"))
    assert "idp: the claim sub of the JWT is not" in caplog.text
    unknown = refused(bear(trusting, a_jwt(iss="https://unknown.example")), 400, "invalid_grant")
    forged = refused(bear(trusting, a_jwt(ec_key(12))), 400, "invalid_grant")
    assert told == unknown == forged


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS512", "ES256"])
@pytest.mark.parametrize("as_subject", [False, True], ids=["assertion", "subject"])
def test_an_unsigned_jwt_tells_no_trusted_issuer(trusting, algorithm, as_subject):
    """A caller that has no key of an issuer learns from no algorithm whether the issuer is trusted."""
    trust(trusting, "strict", algorithms=["ES256"], claims={"sub": "x"})

    def told(issuer: str) -> str:
        text = unsigned(algorithm, issuer)
        answer = exchange(trusting, text) if as_subject else bear(trusting, text)
        return refused(answer, 400, "invalid_request" if as_subject else "invalid_grant")

    assert told(IDP) == told("https://unknown.example")


def unsigned(algorithm, issuer):
    claims = {"iss": issuer, "aud": ISSUER, "sub": "x", "exp": NOW + 300}
    return f"{segment({'alg': algorithm, 'kid': 'k1'})}.{segment(claims)}.{'A' * 86}"


def exchange(service, text):
    kind = "urn:ietf:params:oauth:token-type:jwt"
    return ask(service, {"grant_type": TOKEN_EXCHANGE, "subject_token": text, "subject_token_type": kind})
