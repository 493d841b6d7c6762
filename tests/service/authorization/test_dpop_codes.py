"""Codes that are bound to a DPoP key (RFC 9449 10), by the authorization request or by the pushed one."""

import pytest

from tests.support.browsers import LOOPBACK, SECRET, WEB, answer_in, exchange, request_of
from tests.support.databases import NOW
from tests.support.dpop import jkt, key, proof
from tests.support.service import ISSUER, client_metadata, refused

OWN, OTHER = key(), key("ES256", "thief")


def proved(path: str, by=OWN) -> dict[str, str]:
    """Return the header of a proof for a POST to this path."""
    return {"DPoP": proof(private=by, htm="POST", htu=ISSUER + path, iat=NOW)}


def push(service, client=WEB, headers=None, certificate=None, **changes):
    secret = {"client_secret": SECRET} if client == WEB else {}
    form = request_of(client, **changes) | secret
    return service.open("/oauth2/par", certificate, data=form, headers=headers or {})


def code_of(browser, client=WEB, **asked):
    page = browser.log_in(browser.get("/oauth2/authorize", {"client_id": client, **asked}))
    return answer_in(browser.press(page).headers["Refresh"])["code"]


def test_a_code_is_bound_to_the_key_that_its_request_names(browser, with_people):
    """A code of a request with dpop_jkt is exchanged with a proof by that key."""
    code = browser.code(dpop_jkt=jkt(OWN))
    answer = exchange(with_people, code, headers=proved("/oauth2/token"))
    assert (answer.status_code, answer.json["token_type"]) == (200, "DPoP")


@pytest.mark.parametrize("headers", [{}, proved("/oauth2/token", OTHER)], ids=["no proof", "another key"])
def test_a_bound_code_is_worth_nothing_to_a_thief(browser, with_people, headers):
    """A code that is bound to a key is refused without a proof by it, even with the verifier."""
    code = browser.code(dpop_jkt=jkt(OWN))
    refused(exchange(with_people, code, headers=headers), 400, "invalid_grant")


def test_a_pushed_proof_binds_the_code(browser, with_people):
    """A request that is pushed with a proof binds its code to the key (RFC 9449 10.1)."""
    pushed = push(with_people, headers=proved("/oauth2/par"))
    code = code_of(browser, request_uri=pushed.json["request_uri"])
    refused(exchange(with_people, code, headers=proved("/oauth2/token", OTHER)), 400, "invalid_grant")


def test_a_public_client_may_be_bound_to_a_key_alone(browser, with_people):
    """A public client without a certificate pushes and exchanges with proofs of its key."""
    metadata = client_metadata(
        token_endpoint_auth_method="none",
        grant_types=("authorization_code",),
        redirect_uris=(LOOPBACK,),
        dpop_bound_access_tokens=True,
    )
    with_people.stores.clients.add("page", metadata, secret=None, now=NOW)
    pushed = push(with_people, "page", proved("/oauth2/par"), redirect_uri=LOOPBACK)
    assert pushed.status_code == 201, pushed.text
    code = code_of(browser, "page", request_uri=pushed.json["request_uri"])
    sent = {"redirect_uri": LOOPBACK, "client_secret": None}
    answer = exchange(with_people, code, "page", headers=proved("/oauth2/token"), **sent)
    assert (answer.status_code, answer.json["token_type"]) == (200, "DPoP")


def test_a_request_names_no_other_key_than_it_proves(with_people):
    """A pushed request whose dpop_jkt is not that of its proof is refused."""
    refused(push(with_people, headers=proved("/oauth2/par"), dpop_jkt=jkt(OTHER)), 400, "invalid_request")
    assert push(with_people, headers=proved("/oauth2/par"), dpop_jkt=jkt(OWN)).status_code == 201


@pytest.mark.parametrize(
    "named",
    ["x", jkt(OWN) + "=", jkt(OWN)[:-1] + "B", "0" * 64],
    ids=["no thumbprint", "padded", "loose bits", "hexadecimal"],
)
def test_a_malformed_key_is_told(browser, named):
    """A dpop_jkt that is no thumbprint is invalid_request, by redirect."""
    assert answer_in(browser.authorize(dpop_jkt=named).location)["error"] == "invalid_request"


def test_a_proof_is_used_once(with_people):
    """A proof that pushed a request pushes no other, and one for another endpoint pushes none."""
    headers = proved("/oauth2/par")
    assert push(with_people, headers=headers).status_code == 201
    refused(push(with_people, headers=headers), 400, "invalid_dpop_proof")
    refused(push(with_people, headers=proved("/oauth2/token")), 400, "invalid_dpop_proof")
