"""Clients that registered openly, and are gone if they get no token in time: through every door of a JWT."""

import pytest

from macaroon_cbat.stores.client_store import add_client
from tests.support.databases import NOW
from tests.support.federated import GRANTS, PEOPLE, a_jwt, ask, bear, trust
from tests.support.foreign_tokens import ec_key, key_set, public_jwk, signed_jwt
from tests.support.service import API, ISSUER, client_metadata, refused

MINE = ec_key(51)
UNTIL = NOW + 60


@pytest.fixture
def opened(service):
    """Return a service with clients that registered openly, a second before they are gone."""
    members = {"token_endpoint_auth_method": "private_key_jwt", "jwks": key_set(public_jwk(MINE))}
    members |= {"scope": "read", "audiences": (API,), "grant_types": (*GRANTS, "client_credentials")}
    with service.stores.database.writing() as connection:
        for name in ("used", "late"):
            metadata = client_metadata(**members)
            add_client(connection, name, metadata, secret=None, now=NOW, unused_until=UNTIL)
    for name in ("used", "late"):
        trust(service, name, client=name, claims={"sub": name}, scope="read")
    trust(service, "people", PEOPLE, issuer="https://people.example")
    service.now = UNTIL - 1
    return service


def signed(name, now) -> dict[str, str]:
    """Return the members of a request that the client itself signs."""
    claims = {"iss": name, "sub": name, "aud": ISSUER, "exp": now + 60, "jti": f"{name}-{now}"}
    return {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": signed_jwt({"alg": "ES256"}, claims, MINE),
    }


def own(service, name):
    """Ask as the client that signs for itself."""
    form = {"grant_type": "client_credentials", **signed(name, service.now)}
    return ask(service, form)


def workload(service, name):
    """Ask by the JWT that is the client's credential."""
    return bear(service, a_jwt(sub=name, exp=service.now + 60))


def person(service, name):
    """Ask as the client that signs for itself, in the name of a person."""
    token = a_jwt(sub="alice", iss="https://people.example", exp=service.now + 60)
    return bear(service, token, **signed(name, service.now))


@pytest.mark.parametrize("door", [own, workload, person], ids=["own", "workload", "person"])
def test_a_client_that_got_a_token_stays(opened, door):
    """The first token lets a client stay, and one without a token is refused from its last second on."""
    assert door(opened, "used").status_code == 200
    opened.now = UNTIL
    assert door(opened, "used").status_code == 200
    refused(door(opened, "late"), 401, "invalid_client")
