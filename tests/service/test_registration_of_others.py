"""Client metadata as other programs send it (RFC 7591), and what of it is not ignored."""

import pytest

from tests.support.administrator import CLIENTS, NEW, administrator
from tests.support.service import API, GRANT_TYPE, basic, refused

AS_OTHERS_SEND = {
    "client_name#de": "Rechnungen",
    "client_uri": "https://billing.example",
    "logo_uri": "https://billing.example/logo.png",
    "contacts": ["ops@billing.example"],
    "tos_uri": "https://billing.example/tos",
    "policy_uri": "https://billing.example/policy",
    "response_types": ["code"],
    "software_id": "4NRB1-0XZABZI9E6-5SM3R",
    "software_version": "2",
    "software_statement": None,
}


@pytest.fixture
def ops(service, certificate):
    return administrator(service, certificate)


@pytest.mark.parametrize("name", AS_OTHERS_SEND)
def test_a_member_without_use_is_ignored(ops, name):
    """A member of RFC 7591 that means nothing here changes neither registration nor change (RFC 7591 2)."""
    made = ops("POST", CLIENTS, json=NEW | {name: AS_OTHERS_SEND[name]})
    assert (made.status_code, name in made.json) == (201, False)
    changed = ops("PATCH", CLIENTS + "/orders", json={name: AS_OTHERS_SEND[name], "scope": "read"})
    assert (changed.status_code, changed.json["tokens_revoked"]) == (200, False)


@pytest.mark.parametrize(
    "slip",
    [
        {"audience": [API]},
        {"serve": [API]},
        {"tls_client_certificate_bound_access_token": True},
        {"Client_Name": "x"},
        {"client_nam": "x"},
        {"scope#de": "read"},
        {"client_secret": "chosen-by-the-client"},
        {"colour": "blue"},
    ],
    ids=lambda slip: next(iter(slip)),
)
def test_a_slip_is_refused_by_name(ops, slip):
    """A member that no RFC names here is refused by name: it may be a restriction with a slip of the pen."""
    answer = ops("POST", CLIENTS, json=NEW | slip)
    assert next(iter(slip)) in refused(answer, 400, "invalid_client_metadata")
    answer = ops("PATCH", CLIENTS + "/billing", json=slip)
    assert next(iter(slip)) in refused(answer, 400, "invalid_client_metadata")


@pytest.mark.parametrize(
    "grants", [["implicit"], ["password"], "client_credentials", {"client_credentials": 1}]
)
def test_a_grant_of_no_use_is_refused(ops, grants):
    """A client is registered for grants that the service knows, or not at all."""
    answer = ops("POST", CLIENTS, json=NEW | {"grant_types": grants})
    assert "grant_types" in refused(answer, 400, "invalid_client_metadata")


def test_a_client_of_other_grants_gets_nothing_by_client_credentials(ops):
    """A client that is registered for other grants is refused client_credentials (RFC 6749 5.2)."""
    made = ops(
        "POST", CLIENTS, json=NEW | {"grant_types": ["urn:ietf:params:oauth:grant-type:device_code"]}
    ).json
    headers = {"Authorization": basic("orders", made["client_secret"])}
    answer = ops.service.open("/oauth2/token", data=GRANT_TYPE, headers=headers)
    refused(answer, 400, "unauthorized_client")


@pytest.mark.parametrize("types", [["token"], ["code", "token"], ["code id_token"], "code", [None]], ids=str)
def test_a_response_type_of_no_use_is_refused(ops, types):
    """A client that would get answers of another kind than a code is not registered (RFC 7591 2)."""
    answer = ops("POST", CLIENTS, json=NEW | {"response_types": types})
    assert "response_types" in refused(answer, 400, "invalid_client_metadata")
