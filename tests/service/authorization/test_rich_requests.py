"""Requests for several resources (RFC 8707), with authorization details (RFC 9396), or for the own logins."""

import json
from dataclasses import replace

import pytest

from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.browsers import APP, SECRET, Browser, answer_in, exchange, form_in
from tests.support.databases import NOW
from tests.support.service import API, ISSUER, OTHER_API, Service, client_metadata, grant_of

TYPES = f"""
[payment]
description = "Pay from an account"
audiences = ["{API}"]

[payment.members]
amount = {{currency = "string", value = "number"}}
"creditor?" = "string"
"""
PAYMENT = {"type": "payment", "amount": {"currency": "EUR", "value": 12.5}}
BANK = "bank"


@pytest.fixture
def bank(browser, with_people, upstream, tmp_path) -> Browser:
    """Return a browser of a service that knows a type of details, and a client of two audiences."""
    file = tmp_path / "types.toml"
    file.write_text(TYPES)
    service = Service(with_people.folder, replace(with_people.settings, authorization_details=file))
    metadata = client_metadata(
        scope="read write grants",
        grant_types=("authorization_code",),
        redirect_uris=(APP,),
        audiences=(API, OTHER_API),
        authorization_details_types=("payment",),
    )
    service.stores.clients.add(BANK, metadata, secret=SECRET, now=NOW)
    yield Browser(service, upstream)
    service.close()


def request(bank, *resources, details=None, **changes):
    """Send a request for these resources and details."""
    asked = {
        "response_type": "code",
        "client_id": BANK,
        "redirect_uri": APP,
        "scope": "read",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    asked |= changes | ({} if details is None else {"authorization_details": details})
    return bank.get("/oauth2/authorize", [*asked.items(), *(("resource", one) for one in resources)])


def token_of(bank, page, **changes):
    code = answer_in(bank.press(page).headers["Refresh"])["code"]
    answer = exchange(bank.service, code, BANK, **changes)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_a_person_grants_several_resources(bank):
    """A request may name several resources: the page shows each, and the token is for all of them."""
    page = bank.log_in(request(bank, API, OTHER_API))
    assert API in page.text
    assert OTHER_API in page.text
    assert grant_of(token_of(bank, page)["access_token"]).aud == (API, OTHER_API)


def test_a_token_may_be_for_one_of_several(bank):
    """A token request may name one of the approved resources (RFC 8707 2.2)."""
    page = bank.log_in(request(bank, API, OTHER_API))
    assert grant_of(token_of(bank, page, resource=OTHER_API)["access_token"]).aud == OTHER_API


def test_one_of_several_must_be_open(bank):
    """One resource that is not registered makes the whole request invalid_target."""
    answer = request(bank, API, "https://evil.example")
    assert answer_in(answer.location)["error"] == "invalid_target"
    answer = request(bank, API, ISSUER)
    assert answer_in(answer.location)["error"] == "invalid_target"


def test_too_many_resources_are_refused(bank):
    """A request names a bounded number of resources."""
    answer = request(bank, *(f"https://api-{n}.example" for n in range(17)))
    assert answer_in(answer.location)["error"] == "invalid_request"


def test_the_details_are_shown_and_hold(bank):
    """The page shows every detail whole, and the token carries them as a caveat (RFC 9396 7.1)."""
    creditor = "x" * 500 + "end"
    details = json.dumps([PAYMENT | {"creditor": creditor}])
    page = bank.log_in(request(bank, API, details=details))
    assert "Pay from an account" in page.text
    assert creditor in page.text
    answer = token_of(bank, page)
    assert answer["authorization_details"] == json.loads(details)
    assert b"authorization_details" in read_macaroon(answer["access_token"]).caveats[0]


@pytest.mark.parametrize(
    ("details", "resource"),
    [
        pytest.param('{"type":"payment"}', API, id="no list"),
        pytest.param("[", API, id="no JSON"),
        pytest.param('[{"type":"lien"}]', API, id="an unknown type"),
        pytest.param('[{"type":"payment"}]', API, id="a missing member"),
        pytest.param(json.dumps([PAYMENT | {"more": 1}]), API, id="an unknown member"),
        pytest.param(json.dumps([PAYMENT]), OTHER_API, id="another resource server's"),
        pytest.param(json.dumps([PAYMENT] * 17), API, id="too many"),
    ],
)
def test_bad_details_are_told_to_the_client(bank, details, resource):
    """Details that are malformed, unknown or misdirected are invalid_authorization_details, by redirect."""
    answer = request(bank, resource, details=details)
    assert answer_in(answer.location)["error"] == "invalid_authorization_details"


def test_other_details_are_asked_for_again(bank):
    """A consent to some details covers no others."""
    bank.press(bank.log_in(request(bank, API, details=json.dumps([PAYMENT]))))
    other = PAYMENT | {"amount": {"currency": "EUR", "value": 99}}
    again = request(bank, API, details=json.dumps([other]))
    assert "wants access" in bank.get(again.location).text


@pytest.mark.parametrize("approved", [json.dumps([PAYMENT]), None], ids=["another", "none"])
def test_a_token_request_adds_no_detail(bank, approved):
    """A token request names no detail that was not approved, where others or none were."""
    page = bank.log_in(request(bank, API, details=approved))
    code = answer_in(bank.press(page).headers["Refresh"])["code"]
    other = json.dumps([PAYMENT | {"amount": {"currency": "EUR", "value": 99}}])
    answer = exchange(bank.service, code, BANK, authorization_details=other)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_authorization_details")


def test_a_person_lets_a_client_list_the_own_logins(bank):
    """The scope for a list of the person's own logins is the one of the service that a person may grant."""
    page = bank.log_in(request(bank, ISSUER, scope="grants"))
    grant = grant_of(token_of(bank, page)["access_token"])
    assert (grant.sub, grant.scope, grant.aud) == ("user:alice", "grants", ISSUER)


def test_the_form_names_no_request_of_another_service(bank):
    """The form is sent to the service itself, whatever the request says."""
    page = bank.log_in(request(bank, API))
    assert form_in(page.text).action == f"{ISSUER}/oauth2/consent"
