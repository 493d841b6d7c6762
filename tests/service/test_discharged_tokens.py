"""Tokens with third-party caveats at the service's own endpoints: introspection, and what needs a scope."""

import json

import pytest

from macaroon_cbat.macaroon.caveats import Expiry, Method, Scope, confirmation
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.administrator import administrator
from tests.support.discharging import (
    asking,
    bearer,
    discharge,
    each_by_itself,
    in_one_header,
    macaroons,
    saying,
)
from tests.support.resource_server import token_for_service
from tests.support.service import NOW, SECRETS, basic, refused

INACTIVE = {"active": False}
FORMS = {"X-Discharge-Macaroon": in_one_header, "repeated": each_by_itself, "Macaroons": macaroons}


def introspected(service, token, headers, client="api"):
    """Introspect with the headers that came with the token, but Authorization."""
    own = [("Authorization", basic(client, SECRETS[client]))]
    headers = own + [one for one in headers if one[0] != "Authorization"]
    return service.open("/oauth2/introspect", data={"token": token}, headers=headers)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_discharged_token_is_active(service, form):
    """A resource server introspects a token together with its discharges (as PingAM has it)."""
    token = asking(asking(service.token()), b"y")
    headers = form(token, discharge(token, Scope("read")), discharge(token, Expiry(NOW + 60), name=b"y"))
    answer = introspected(service, token, headers).json
    assert (answer["active"], answer["scope"], answer["exp"]) == (True, "read", NOW + 60)


def test_without_its_discharge_it_is_inactive(audited, file):
    """A token that lacks a discharge, or has one too many, is inactive, and the audit log says why."""
    token, plain = asking(audited.token()), audited.token()
    assert introspected(audited, token, ()).json == INACTIVE
    assert "has no discharge of its own" in json.loads(file.read_text().splitlines()[-1])["reason"]
    assert introspected(audited, plain, each_by_itself(plain, discharge(plain))).json == INACTIVE
    assert "no third-party caveat asks for" in json.loads(file.read_text().splitlines()[-1])["reason"]


def test_the_bakerys_conditions_are_judged(service):
    """time-before ends the token, and what is declared is told to those who understand caveats alone."""
    token = asking(service.token())
    said = saying(token, "time-before 2025-12-31T23:01:00Z", "declared user alice")
    expires = 1_767_222_060
    plain = introspected(service, token, in_one_header(token, said)).json
    assert (plain["exp"], "declared" in plain, "caveats" in plain) == (expires, False, False)
    answer = introspected(service, token, in_one_header(token, said), "knowing-api").json
    assert (answer["exp"], answer["declared"], answer["caveats"]) == (
        expires,
        {"user": "alice"},
        [{"exp": expires}],
    )
    for condition in ("time-before 2025-12-31T23:00:00Z", "allow read", "declared user"):
        said = saying(token, condition)
        assert introspected(service, token, in_one_header(token, said), "knowing-api").json == INACTIVE
    differing = saying(token, "declared user alice", "declared user bob")
    assert introspected(service, token, in_one_header(token, differing), "knowing-api").json == INACTIVE


def test_caveats_of_the_request_in_a_discharge_count(service):
    """A discharge with a caveat about the request is active only for those who judge it."""
    token = asking(service.token())
    headers = in_one_header(token, discharge(token, Method("GET")))
    assert introspected(service, token, headers).json == INACTIVE
    assert introspected(service, token, headers, "knowing-api").json["caveats"] == [{"htm": "GET"}]


def test_headers_that_are_not_readable_are_a_bad_request(service):
    """Headers of the resource server that no token came with are 400: it has to learn of its mistake."""
    token, other = asking(service.token()), service.token("payroll")
    refused(introspected(service, token, macaroons(other)), 400, "invalid_request")
    refused(introspected(service, token, [("Macaroons", "*")]), 400, "invalid_request")
    refused(introspected(service, token, [("X-Discharge-Macaroon", "x," * 17)]), 400, "invalid_request")
    assert introspected(service, token, [("X-Discharge-Macaroon", "x")]).json == INACTIVE


def test_the_services_own_guard_takes_discharges(service, certificate):
    """An endpoint that needs a scope of the service takes a discharged token, and no other."""
    administrator(service, certificate)
    token = asking(attenuate(token_for_service(service, "ops"), [confirmation(certificate.thumbprint)]))
    refusal = service.open("/admin/keys", certificate, method="GET", headers=bearer(token))
    assert "third-party caveat 2" in refused(refusal, 401, "invalid_token")
    for headers in (in_one_header(token, discharge(token)), macaroons(token, discharge(token))):
        assert service.open("/admin/keys", certificate, method="GET", headers=headers).status_code == 200
