"""Rich authorization requests (RFC 9396): types of the operator's, a caveat, and the answers that show it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.custom import CustomCaveat
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.service.detail_types import DetailTypes
from macaroon_cbat.service.oauth2.authorization_details import Details
from macaroon_cbat.stores.grant_types import TOKEN_EXCHANGE
from tests.support.databases import NOW
from tests.support.refresh import REFRESH, WEB, ask_refresh, begun, refreshed, register, web_metadata
from tests.support.service import (
    API,
    GRANT_TYPE,
    OTHER_API,
    SECRETS,
    Service,
    basic,
    client_metadata,
    refused,
    server_metadata,
)

TYPES = f"""
[payment]
description = "Pay from an account"
audiences = ["{API}/"]

[payment.members]
actions = ["initiate", "cancel"]
amount = {{currency = "string", value = "number"}}
"creditor?" = "string"

[account]
description = "See an account"
members = {{"fields?" = "strings", "days?" = "integer", "live?" = "boolean", "more?" = "object"}}

[lien]
description = "Put a lien on it"
"""
PAYMENT = {"type": "payment", "actions": ["initiate"], "amount": {"currency": "EUR", "value": 12.5}}
ACCOUNT = {"type": "account", "days": 30}


@pytest.fixture
def paying(service: Service, tmp_path: Path):
    """Return a service on the same database that knows the types, and whose clients ask for two of them."""
    file = tmp_path / "types.toml"
    file.write_text(TYPES)
    paying = Service(service.folder, replace(service.settings, authorization_details=file))
    types = ("payment", "account")
    both = {"audiences": (API, OTHER_API)}
    change(paying, "billing", client_metadata(authorization_details_types=types))
    change(paying, "reporting", client_metadata(authorization_details_types=types, **both))
    yield paying
    paying.close()


def change(service, client_id, metadata):
    clients = service.app.extensions["macaroon_cbat"].clients
    clients.change(client_id, lambda _: metadata, lambda: NOW, lasting=600)


def ask(service, details, client="billing", **form):
    text = details if isinstance(details, str) else json.dumps(details)
    return service.post("/oauth2/token", {**GRANT_TYPE, "authorization_details": text, **form}, client)


def test_granted_details_are_a_caveat_and_shown(paying):
    """The token answer shows what was granted (RFC 9396 7), and the token has it as a caveat."""
    answer = ask(paying, [PAYMENT, ACCOUNT])
    assert answer.json["authorization_details"] == [PAYMENT, ACCOUNT]
    [text] = read_macaroon(answer.json["access_token"]).caveats
    assert json.loads(text) == {"authorization_details": [PAYMENT, ACCOUNT]}


def test_without_details_nothing_is_said(paying):
    """A request without details gets a token without any."""
    assert "authorization_details" not in paying.post("/oauth2/token", GRANT_TYPE, "billing").json


MALFORMED = {
    "no JSON": "[",
    "an object": json.dumps(PAYMENT),
    "an empty list": "[]",
    "a list of text": '["payment"]',
    "no type": [{"amount": 1}],
    "a type that is no text": [{"type": ["payment"]}],
    "a second member smuggled in": f'[{json.dumps(PAYMENT)}],"exp":1',
    "a second list smuggled in": f'[{json.dumps(PAYMENT)}],"authorization_details":[]',
    "a repeated key": '[{"type":"lien","type":"account"}]',
    "NaN": '[{"type":"account","days":NaN}]',
    "an unknown type": [{"type": "refund"}],
    "a type in other letters": [{"type": "Account"}],
    "a type that the client is not registered for": [{"type": "lien"}],
    "one of two of such a type": [ACCOUNT, {"type": "lien"}],
    "an unknown member": [{**ACCOUNT, "limit": 1}],
    "a missing member": [{"type": "payment", "actions": "initiate"}],
    "an unknown word": [{**PAYMENT, "actions": ["initiate", "own"]}],
    "no words": [{**PAYMENT, "actions": []}],
    "a member of another kind": [{**ACCOUNT, "days": "30"}],
    "true for a number": [{**ACCOUNT, "days": True}],
    "an unknown member inside": [{**PAYMENT, "amount": {"currency": "EUR", "value": 1, "x": 1}}],
    "a missing member inside": [{**PAYMENT, "amount": {"currency": "EUR"}}],
    "text in place of an object": [{**PAYMENT, "amount": "12 EUR"}],
    "too many": [ACCOUNT] * 17,
    "too long": [{"type": "account", "fields": ["x" * 3000]}],
    "nested deeply": '[{"type":"account","more":' + '{"a":' * 400 + "1" + "}" * 401 + "]",
}


@pytest.mark.parametrize("details", MALFORMED.values(), ids=MALFORMED)
def test_details_that_are_none_are_refused(paying, details):
    """Details that the operator has not described are the RFC's error (RFC 9396 5), and no token."""
    refused(ask(paying, details), 400, "invalid_authorization_details")


def test_a_service_without_types_grants_none(service):
    """A service whose operator describes no type refuses every detail."""
    refused(ask(service, [PAYMENT]), 400, "invalid_authorization_details")


def test_details_repeat_as_little_as_any_parameter(paying):
    """The parameter comes once (RFC 6749 3.2)."""
    form = {**GRANT_TYPE, "authorization_details": [json.dumps([ACCOUNT])] * 2}
    headers = {"Authorization": basic("billing", SECRETS["billing"])}
    refused(paying.open("/oauth2/token", data=form, headers=headers), 400, "invalid_request")


@pytest.mark.parametrize(("resource", "status"), [(API, 200), (OTHER_API, 400)])
def test_a_type_goes_to_a_resource_server_that_judges_it(paying, resource, status):
    """A type with audiences is granted for one of these audiences alone, in any spelling."""
    assert ask(paying, [PAYMENT], "reporting", resource=resource).status_code == status


def test_a_resource_server_sees_the_types_that_it_knows(paying):
    """Introspection shows the details of types that the resource server is registered for (RFC 9396 9.2)."""
    token = ask(paying, [PAYMENT, ACCOUNT]).json["access_token"]
    assert paying.introspect(token) == {"active": False}
    change(paying, "api", server_metadata(authorization_details_types=("payment",)))
    assert paying.introspect(token) == {"active": False}
    change(paying, "api", server_metadata(judged_caveats=("payment",)))
    assert paying.introspect(token)["authorization_details"] == [PAYMENT]
    change(paying, "api", server_metadata(judged_caveats=("lien",)))
    assert paying.introspect(token) == {"active": False}


def test_a_holder_drops_details(paying):
    """A holder keeps some of the details by a caveat of its own; it cannot add one."""
    change(paying, "api", server_metadata(judged_caveats=("payment", "account", "lien")))
    token = ask(paying, [PAYMENT, ACCOUNT]).json["access_token"]
    fewer = attenuate(token, [CustomCaveat("authorization_details", [ACCOUNT, {"type": "lien"}])])
    assert paying.introspect(fewer)["authorization_details"] == [ACCOUNT]


def test_narrower_details_are_for_those_that_judge_each_caveat(paying):
    """A holder's narrower detail is active for a server that judges both lists, and for no other."""
    types = {"judged_caveats": ("payment",)}
    change(paying, "api", server_metadata(**types))
    change(paying, "knowing-api", server_metadata(understands_caveats=True, **types))
    token = ask(paying, [PAYMENT]).json["access_token"]
    less = {**PAYMENT, "amount": {"currency": "EUR", "value": 5}}
    narrower = attenuate(token, [CustomCaveat("authorization_details", [less])])
    assert paying.introspect(narrower) == {"active": False}
    answer = paying.introspect(narrower, "knowing-api")
    assert (answer["active"], answer["authorization_details"]) == (True, [])
    assert [one["authorization_details"] for one in answer["caveats"]] == [[PAYMENT], [less]]


def test_details_go_on_with_a_login(paying):
    """A refresh token keeps the granted details; a request may name fewer, and no other (RFC 9396 6.1)."""
    types = {"authorization_details_types": ("payment", "account")}
    register(paying, **types)
    granted = Details((PAYMENT, ACCOUNT)).caveat
    token = begun(paying, WEB, carried=(granted,))
    answer = ask_refresh(paying, token)
    assert answer.json["authorization_details"] == [PAYMENT, ACCOUNT]
    fewer = ask_refresh(paying, token, authorization_details=json.dumps([ACCOUNT]))
    assert fewer.json["authorization_details"] == [ACCOUNT]
    other = ask_refresh(paying, token, authorization_details=json.dumps([{"type": "account", "days": 31}]))
    assert "was not granted" in refused(other, 400, "invalid_authorization_details")


def test_a_login_without_details_gets_none_later(paying):
    """A refresh or an exchange adds no detail to a grant that has none: the person approved none."""
    types = {"authorization_details_types": ("payment", "account"), "audiences": (API,)}
    register(paying)
    metadata = web_metadata(grant_types=(*REFRESH, TOKEN_EXCHANGE), **types)
    change(paying, WEB, metadata)
    paying.now += 10
    token, wanted = begun(paying, WEB), {"authorization_details": json.dumps([PAYMENT])}
    refused(ask_refresh(paying, token, **wanted), 400, "invalid_authorization_details")
    form = {"subject_token": refreshed(paying, token)["access_token"], "grant_type": TOKEN_EXCHANGE}
    form |= {"subject_token_type": "urn:ietf:params:oauth:token-type:access_token", "client_id": WEB}
    answer = paying.open("/oauth2/token", data=form | wanted | {"client_secret": SECRETS["billing"]})
    assert "the grant has none" in refused(answer, 400, "invalid_authorization_details")


def test_the_metadata_name_the_types(paying):
    """The metadata list the types that the operator describes (RFC 9396 10)."""
    found = paying.open("/.well-known/oauth-authorization-server", method="GET").json
    assert found["authorization_details_types_supported"] == ["account", "lien", "payment"]


def test_custom_caveats_are_introspected_by_those_that_judge_them(service):
    """A custom caveat is active for a resource server registered as judging it, and for no other."""
    token = attenuate(service.token(), [CustomCaveat("tenant", "acme")])
    answers = [service.introspect(token, server) for server in ("api", "knowing-api")]
    assert answers == [{"active": False}] * 2
    change(service, "knowing-api", server_metadata(understands_caveats=True, judged_caveats=("tenant",)))
    assert service.introspect(token, "knowing-api")["caveats"] == [{"tenant": "acme"}]


BAD_FILES = {
    "no TOML": ("[payment", "is no TOML"),
    "a number of 5,000 digits": (f"a = {'9' * 5000}", "is no TOML"),
    "deep TOML": (f"a = {'[' * 3000}", "is no TOML"),
    "no table": ("payment = 1", "'payment'"),
    "no description": ("[payment]", "description is missing"),
    "an unknown member": ('[payment]\ndescription = "x"\nscope = "y"', "scope is unknown"),
    "an unknown kind": ('[payment]\ndescription = "x"\nmembers = {a = "float"}', "member 'a' is 'float'"),
    "an unknown kind inside": ('[payment]\ndescription = "x"\nmembers = {a = {b = 1}}', "member 'b' is 1"),
    "a type of its own": ('[payment]\ndescription = "x"\nmembers = {type = "string"}', "every detail's own"),
    "a known caveat": ('[scope]\ndescription = "x"', "a meaning of its own"),
    "an audience that is none": ('[payment]\ndescription = "x"\naudiences = ["api"]', "api"),
}


@pytest.mark.parametrize(("text", "reason"), BAD_FILES.values(), ids=BAD_FILES)
def test_an_unusable_file_is_refused_at_the_start(tmp_path, text, reason):
    """A file that describes no types, or none that could be judged, stops the service with one line."""
    (tmp_path / "types.toml").write_text(text)
    with pytest.raises(SettingsError, match=reason) as refusal:
        DetailTypes(tmp_path / "types.toml")
    assert len(str(refusal.value).splitlines()) == 1


def test_a_missing_file_is_refused_at_the_start(tmp_path):
    """A file that is not there is named."""
    with pytest.raises(SettingsError, match=r"MACAROON_CBAT_AUTHORIZATION_DETAILS: .* cannot be read"):
        DetailTypes(tmp_path / "types.toml")
