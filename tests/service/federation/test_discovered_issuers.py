"""Issuers whose keys are fetched over TLS, before the token endpoint of one application."""

import pytest

from macaroon_cbat.service.federation.reaching import LARGEST_DOCUMENT
from tests.support.federated import KEY, KEYS, a_jwt, bear, register, trust
from tests.support.foreign_tokens import ec_key, key_set, public_jwk
from tests.support.key_servers import DISCOVERY
from tests.support.service import refused

BY_KEY = {"token_endpoint_auth_method": "private_key_jwt"}


@pytest.fixture
def discovering(new_service, issuer):
    """Return a service that trusts an issuer by its metadata, and has asked for nothing yet."""
    issuer.publish(DISCOVERY, {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks"})
    issuer.publish("/jwks", KEYS)
    register(new_service, "deployer", **BY_KEY)
    trust(new_service, issuer=issuer.url, jwks=None, issuer_ca=issuer.ca, private_addresses=True)
    return new_service


def unavailable(answer) -> None:
    assert (answer.status_code, answer.json["error"]) == (503, "temporarily_unavailable"), answer.text
    assert answer.headers["Retry-After"]


def test_an_issuer_is_discovered(discovering, issuer):
    """The keys of a trusted issuer are found by its metadata, once for many tokens."""
    for _ in range(3):
        assert bear(discovering, a_jwt(iss=issuer.url)).status_code == 200
    assert issuer.asked == [DISCOVERY, "/jwks"]


def test_no_token_chooses_an_address(discovering, issuer):
    """Tokens of other issuers, and those with addresses in their header, cause no request at all."""
    evil = ec_key(666)
    header = {"jku": f"{issuer.url}/evil", "x5u": f"{issuer.url}/evil", "kid": "evil"}
    header["jwk"] = public_jwk(evil, "evil")
    refused(bear(discovering, a_jwt(evil, header, iss=f"{issuer.url}/other")), 400, "invalid_grant")
    assert issuer.asked == []
    refused(bear(discovering, a_jwt(evil, header, iss=issuer.url)), 400, "invalid_grant")
    assert set(issuer.asked) == {DISCOVERY, "/jwks"}


def test_a_token_of_another_key(discovering, issuer):
    """A token that claims the discovered issuer, by a key of its own, is refused."""
    refused(bear(discovering, a_jwt(ec_key(12), iss=issuer.url)), 400, "invalid_grant")


@pytest.mark.parametrize(
    "broken",
    [
        {"body": b"", "status": 500},
        {"body": b"", "status": 302, "headers": {"Location": "https://169.254.169.254/"}},
        {"body": b" " * (LARGEST_DOCUMENT + 1)},
        {"body": b"not json"},
        {"body": b'{"keys":[]}'},
    ],
    ids=["error", "redirect", "huge", "malformed", "empty"],
)
def test_a_broken_key_set_is_no_verdict(discovering, issuer, broken):
    """A key set that is broken is 503: the token may be good, and it stays usable."""
    changes = {**broken}
    issuer.publish("/jwks", changes.pop("body"), **changes)
    unavailable(bear(discovering, a_jwt(iss=issuer.url)))


def test_a_name_that_leads_inside(new_service, issuer):
    """An issuer whose name leads to a private address is not reached, and the operator's log says so."""
    register(new_service, "deployer", **BY_KEY)
    trust(new_service, issuer=issuer.url, jwks=None, issuer_ca=issuer.ca)
    unavailable(bear(new_service, a_jwt(iss=issuer.url)))
    assert issuer.asked == []


def test_issuers_are_not_mixed_up(discovering, issuer):
    """The keys of one trusted issuer verify no token of another one."""
    trust(discovering, "other", issuer="https://other.example", jwks=key_set(public_jwk(ec_key(12), "k1")))
    refused(bear(discovering, a_jwt(ec_key(12), iss=issuer.url)), 400, "invalid_grant")
    refused(bear(discovering, a_jwt(KEY, iss="https://other.example")), 400, "invalid_grant")
