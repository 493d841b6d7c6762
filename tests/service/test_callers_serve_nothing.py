"""A client that may ask for an audience's tokens does not serve it: no keys, no feed, no others' tokens."""

import pytest
from msgspec import UNSET

from macaroon_cbat.macaroon.caveats import Scope
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.resource_server import ask, register, token_for_service
from tests.support.service import API, ISSUER, OTHER_API, refused

KEYS, FEED = "/resource/keys", "/resource/revocations"
INACTIVE = {"active": False}


@pytest.fixture
def attacker(service):
    """Register a client that may call the API, and has every scope of the service's own but `admin`."""
    register(service, "attacker", scope="read keys revocations", audiences=(API, OTHER_API))
    return token_for_service(service, "attacker")


@pytest.mark.parametrize("path", [KEYS, FEED])
@pytest.mark.parametrize(
    "query", [{}, {"audience": API}, {"audience": ISSUER}, {"audience": API + "/"}], ids=str
)
def test_a_caller_gets_no_keys_and_no_feed(service, attacker, certificate, path, query):
    """A client that may call an audience, and serves none, is refused its keys and its revocations."""
    answer = ask(service, path, attacker, certificate, query=query if path == KEYS else {})
    description = refused(answer, 403, "access_denied")
    assert "macaroon-cbat client update attacker --serves" in description
    assert '"k"' not in answer.text


@pytest.mark.parametrize("caller", ["payroll", "reporting", "billing"])
def test_a_caller_introspects_its_own_tokens_only(service, caller):
    """A client that serves no audience is told about its own tokens, and no other client's (RFC 7662)."""
    other = "payroll" if caller == "billing" else "billing"
    theirs, own = service.token(other, resource=API), service.token(caller, resource=API)
    elsewhere = [service.minted(aud=aud, client_id=other, sub=other) for aud in (UNSET, (API, OTHER_API))]
    for token in (theirs, attenuate(theirs, [Scope("read")]), *elsewhere):
        assert service.introspect(token, caller) == INACTIVE
    assert service.introspect(own, caller)["client_id"] == caller
