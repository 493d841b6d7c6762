import pytest

from macaroon_cbat.stores.grant_types import TOKEN_EXCHANGE
from tests.support.databases import NOW
from tests.support.federated import PEOPLE, a_jwt, ask, bear, register, trust
from tests.support.service import API, OTHER_API, grant_of, refused

TYPE = "urn:ietf:params:oauth:token-type:"


def exchange(service, token, client=None, *, kind="jwt", certificate=None, **form):
    """Ask for a macaroon in exchange for the token of another issuer."""
    members = {"grant_type": TOKEN_EXCHANGE, "subject_token": token, "subject_token_type": TYPE + kind}
    return ask(service, members | form, client, certificate)


@pytest.fixture
def trusting(service):
    """Return a service that trusts an issuer for one workload, which is a client."""
    register(service, "deployer", token_endpoint_auth_method="private_key_jwt")
    trust(service)
    return service


@pytest.fixture
def with_people(service):
    """Return a service that trusts an issuer for subjects, by each type of token."""
    register(service, "web")
    trust(service, members=PEOPLE, token_types=["jwt", "id_token", "access_token"])
    return service


def test_the_jwt_of_a_workload_is_exchanged(trusting):
    """The JWT that fits is exchanged for a macaroon of its client (RFC 8693 2.2.1)."""
    answer = exchange(trusting, a_jwt())
    assert answer.status_code == 200, answer.text
    assert answer.json["issued_token_type"] == TYPE + "access_token"
    assert "refresh_token" not in answer.json
    grant = grant_of(answer.json["access_token"])
    assert (grant.client_id, grant.sub, grant.aud) == ("deployer", "deployer", API)


@pytest.mark.parametrize("kind", ["jwt", "id_token", "access_token"])
def test_the_token_of_a_person_is_exchanged(with_people, kind):
    """A token of each type that the operator trusts is exchanged by an authenticated client."""
    token = a_jwt(sub="alice")
    refused(exchange(with_people, token, kind=kind), 401, "invalid_client")
    answer = exchange(with_people, token, "web", kind=kind)
    assert answer.status_code == 200, answer.text
    grant = grant_of(answer.json["access_token"])
    assert (grant.client_id, grant.sub, grant.scope) == ("web", "idp:alice", "read")


@pytest.mark.parametrize("kind", ["id_token", "access_token"])
def test_a_type_that_is_not_trusted(trusting, kind):
    """A JWT as a type that the operator did not name is refused: an ID token is no access token."""
    refused(exchange(trusting, a_jwt(), kind=kind), 400, "invalid_request")


@pytest.mark.parametrize("kind", ["saml2", "refresh_token", "", "x"])
def test_another_type_of_token(trusting, kind):
    """A type that this service does not take is invalid_request."""
    refused(exchange(trusting, a_jwt(), kind=kind), 400, "invalid_request")


def test_the_macaroon_ends_with_the_token_that_it_was_exchanged_for(trusting):
    """A macaroon lives no longer than the subject token."""
    answer = exchange(trusting, a_jwt(exp=NOW + 20))
    assert (answer.json["expires_in"], grant_of(answer.json["access_token"]).exp) == (20, NOW + 20)


@pytest.mark.parametrize(
    "claims",
    [{"exp": NOW}, {"aud": API}, {"sub": "x"}, {"iss": "https://evil.example"}, {"act": {"sub": "x"}}],
    ids=["expired", "audience", "subject", "issuer", "actor"],
)
def test_a_subject_token_that_does_not_fit(trusting, claims):
    """A subject token that is not acceptable is invalid_request (RFC 8693 2.2.2)."""
    refused(exchange(trusting, a_jwt(**claims)), 400, "invalid_request")


def test_a_jwt_is_used_once_through_every_door(trusting):
    """A JWT that was an assertion is no subject token any more, and the other way round."""
    first, second = a_jwt(), a_jwt()
    assert bear(trusting, first).status_code == 200
    refused(exchange(trusting, first), 400, "invalid_request")
    assert exchange(trusting, second).status_code == 200
    refused(bear(trusting, second), 400, "invalid_grant")


def test_the_audience_is_another_name_of_the_resource(trusting):
    """`audience` names the resource as well (RFC 8693 2.1), within what the trust allows."""
    assert grant_of(exchange(trusting, a_jwt(), audience=API).json["access_token"]).aud == API
    refused(exchange(trusting, a_jwt(), audience=OTHER_API), 400, "invalid_target")
    refused(exchange(trusting, a_jwt(), audience=API, resource=OTHER_API), 400, "invalid_target")


def test_other_parameters_of_an_exchange(trusting):
    """An actor, or a requested type that is not given here, is refused and uses no token up."""
    token = a_jwt()
    actor = {"actor_token": token, "actor_token_type": TYPE + "jwt"}
    refused(exchange(trusting, token, **actor), 400, "invalid_request")
    refused(exchange(trusting, token, requested_token_type=TYPE + "jwt"), 400, "invalid_request")
    refused(exchange(trusting, token, requested_token_type=TYPE + "refresh_token"), 400, "invalid_request")
    assert exchange(trusting, token, requested_token_type=TYPE + "access_token").status_code == 200


def test_a_client_that_is_not_registered_for_the_exchange(service):
    """A client that may only use the other grant is refused here."""
    register(service, "deployer", grant_types=("client_credentials",))
    trust(service)
    refused(exchange(service, a_jwt()), 400, "unauthorized_client")


def test_a_macaroon_in_the_place_of_a_jwt(trusting):
    """A macaroon of this service that is called a JWT is refused: the two are never mixed up."""
    token = trusting.token("billing")
    refused(exchange(trusting, token), 400, "invalid_request")
    refused(exchange(trusting, token, kind="id_token"), 400, "invalid_request")


@pytest.mark.parametrize("issued_at", [NOW - 5, NOW + 2, None])
def test_a_jwt_does_not_undo_a_revocation(service, issued_at):
    """A JWT of a subject from before the revocation of its tokens opens no door; a later one does."""
    register(service, "web")
    trust(service, members=PEOPLE, reusable=True)
    token = a_jwt(sub="alice", iat=issued_at)
    assert bear(service, token, "web").status_code == 200
    revocations = service.stores.revocations
    revocations.revoke("subject", "idp:alice", now=NOW + 2, expires_at=NOW + 90_000)
    service.now = NOW + 10
    refused(bear(service, token, "web"), 400, "invalid_grant")
    assert "were revoked" in refused(exchange(service, token, "web"), 400, "invalid_request")
    assert bear(service, a_jwt(sub="bob"), "web").status_code == 200
    assert bear(service, a_jwt(sub="alice", iat=NOW + 3), "web").status_code == 200


def test_an_exchange_stays_within_the_trust(with_people):
    """The macaroon of a subject is exchanged for no resource that the trust in its issuer leaves out."""
    token = bear(with_people, a_jwt(sub="alice"), "web").json["access_token"]
    answer = exchange(with_people, token, "web", kind="access_token", resource=OTHER_API)
    refused(answer, 400, "invalid_target")
