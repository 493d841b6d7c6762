"""A removed client's tokens are dead everywhere, whoever has its name afterwards and however soon."""

import pytest

from tests.service.administrator import CLIENTS, KEYS, administrator
from tests.service.material import API, GRANT_TYPE, basic, refused
from tests.service.resource_server import token_for_service


@pytest.fixture
def ops(service, certificate):
    """Return what asks as an administrator."""
    return administrator(service, certificate)


def test_a_name_registered_anew_brings_no_token_back(ops):
    """A token dies with its registration, though the name is registered anew within the same second."""
    old = token_for_service(ops.service, "ops")
    second = {"client_id": "second", "scope": "admin"}
    secret = ops("POST", CLIENTS, json=second).json["client_secret"]
    form = GRANT_TYPE | {"resource": "https://as.example"}
    headers = {"Authorization": basic("second", secret)}
    token = ops.service.open("/oauth2/token", data=form, headers=headers).json["access_token"]
    assert ops("DELETE", CLIENTS + "/ops", token=token).status_code == 204
    assert ops("POST", CLIENTS, json={"client_id": "ops", "scope": "admin"}, token=token).status_code == 201
    refused(ops("GET", KEYS, token=old), 401, "invalid_token")


def test_removing_a_client_revokes_its_tokens(ops):
    """A token of this second is inactive once its client is removed, and in the feed of its audience."""
    token = ops.service.token()
    assert ops.service.introspect(token)["active"] is True
    assert ops("DELETE", CLIENTS + "/billing").status_code == 204
    assert ops.service.introspect(token) == {"active": False}
    decisions = ops.service.stores.revocations.after(0, API).decisions
    assert [(one.kind, one.value) for one in decisions] == [("client", "billing")]
