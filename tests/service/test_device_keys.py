"""Devices without a certificate: their tokens are bound to a DPoP key, and so is a code that names one."""

import pytest

from macaroon_cbat.macaroon.caveats import KeyConfirmation, read_caveats
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.databases import NOW
from tests.support.devices import PersonInBrowser, begin, poll, register_terminal
from tests.support.dpop import jkt, key, proof
from tests.support.service import ISSUER, refused

OWN, THIEF = key(), key("ES256", "thief")
BEGIN, TOKEN = "/oauth2/device_authorization", "/oauth2/token"


def proved(path, by=OWN):
    """Return a proof for a POST to this path."""
    return proof(private=by, htm="POST", htu=ISSUER + path, iat=NOW)


@pytest.fixture
def service(service_for_people):
    register_terminal(
        service_for_people, tls_client_certificate_bound_access_tokens=False, dpop_bound_access_tokens=True
    )
    return service_for_people


def approved(service, **request):
    """Return the device code of a request that a person has approved."""
    answer = begin(service, **request)
    assert answer.status_code == 200, answer.text
    PersonInBrowser(service).decide(answer.json["user_code"])
    return answer.json["device_code"]


def test_a_poll_binds_the_token_to_its_key(service):
    """A device that proves a key when it polls gets a token that is bound to this key."""
    answer = poll(service, approved(service), proof=proved(TOKEN)).json
    assert answer["token_type"] == "DPoP"
    caveats = [one for text in read_macaroon(answer["access_token"]).caveats for one in read_caveats(text)]
    assert [one.cnf.jkt for one in caveats if isinstance(one, KeyConfirmation)] == [jkt(OWN)]


def test_a_poll_without_a_proof_gets_nothing(service):
    """A client that is registered for DPoP gets no token without a proof."""
    assert poll(service, approved(service)).status_code in {400, 401}


@pytest.mark.parametrize("by", [OWN, THIEF], ids=["own key", "thief"])
def test_a_code_is_bound_to_the_key_that_asked(service, by):
    """A code that was requested with a proof is of use with this key alone."""
    answer = poll(service, approved(service, proof=proved(BEGIN)), proof=proved(TOKEN, by))
    assert (answer.status_code == 200) is (by is OWN), answer.text


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param("x", id="nonsense"),
        pytest.param(proved(TOKEN), id="for another endpoint"),
        pytest.param(proof(private=OWN, htm="GET", htu=ISSUER + BEGIN, iat=NOW), id="for another method"),
    ],
)
def test_a_proof_of_something_else_begins_nothing(service, odd):
    """A proof that is no proof of this request is refused, not ignored."""
    refused(begin(service, proof=odd), 400, "invalid_dpop_proof")
