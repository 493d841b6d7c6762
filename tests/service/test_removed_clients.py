"""A removed client's tokens are dead everywhere, though its name is registered anew at once."""

import pytest
from sqlalchemy import update

from macaroon_cbat.stores.client_store import MEMORY_SECONDS
from macaroon_cbat.stores.schema import clients
from tests.support.administrator import CLIENTS, KEYS, REVOCATIONS, administrator, state
from tests.support.databases import NOW, remove
from tests.support.resource_server import register, token_for_service
from tests.support.service import API, GRANT_TYPE, ISSUER, basic, grant_of, refused, seconds


@pytest.fixture
def ops(service, certificate):
    """Return what asks as an administrator."""
    return administrator(service, certificate)


def test_removing_a_client_revokes_its_tokens(ops):
    """A token of this second is inactive once its client is removed, and in the feed of its audience."""
    token = ops.service.token()
    assert ops.service.introspect(token)["active"] is True
    assert ops("DELETE", CLIENTS + "/billing").status_code == 204
    assert ops.service.introspect(token) == {"active": False}
    decisions = ops.service.stores.revocations.after(0, API).decisions
    assert [(one.kind, one.value) for one in decisions] == [("client", "billing")]


def test_the_new_registration_works_at_once(ops):
    """A client under a name that was just removed is let in with its first token, of the same second."""
    service = ops.service
    assert ops("DELETE", CLIENTS + "/billing").status_code == 204
    members = {"client_id": "billing", "scope": "read", "audiences": [API]}
    secret = ops("POST", CLIENTS, json=members).json["client_secret"]
    headers = {"Authorization": basic("billing", secret)}
    token = service.open("/oauth2/token", data=GRANT_TYPE, headers=headers).json["access_token"]
    assert service.introspect(token)["active"] is True


def test_an_administrator_is_replaced_within_a_second(ops):
    """An administrator's new registration administers at once, and its old token never again."""
    service = ops.service
    old = token_for_service(service, "ops")
    register(service, "second", scope="admin")
    second = token_for_service(service, "second")
    assert ops("DELETE", CLIENTS + "/ops", token=second).status_code == 204
    wanted = {"client_id": "ops", "scope": "admin"}
    secret = ops("POST", CLIENTS, json=wanted, token=second).json["client_secret"]
    headers = {"Authorization": basic("ops", secret)}
    form = GRANT_TYPE | {"resource": ISSUER}
    new = service.open("/oauth2/token", data=form, headers=headers).json["access_token"]
    assert ops("GET", KEYS, token=new).status_code == 200
    refused(ops("GET", KEYS, token=old), 401, "invalid_token")


@pytest.mark.usefixtures("lasting_memory")
def test_a_process_that_has_not_heard_mints_nothing_of_use(ops):
    """A token that another process mints for a client it still remembers is dead already."""
    service = ops.service
    assert service.ask_token("billing").status_code == 200  # which makes this process remember it
    remove(service.stores, "billing", seconds(service.now))
    service.now += MEMORY_SECONDS
    late = service.token("billing")
    assert grant_of(late).iat == NOW + MEMORY_SECONDS
    assert service.introspect(late) == {"active": False}


def test_a_process_that_has_not_heard_lets_no_administrator_in(ops):
    """An administrator removed elsewhere is refused at once by a process that still remembers it."""
    token = token_for_service(ops.service, "ops")
    assert ops("GET", KEYS, token=token).status_code == 200
    remove(ops.service.stores, "ops")
    refused(ops("GET", KEYS, token=token), 401, "invalid_token")


def test_an_old_token_is_refused_by_its_second_alone(ops):
    """A token of before its client's first valid second is refused, should its revocation be lost."""
    token = token_for_service(ops.service, "ops")
    with ops.service.stores.database.writing() as connection:
        connection.execute(update(clients).where(clients.c.client_id == "ops").values(tokens_since=NOW + 1))
    ops.service.app.extensions["macaroon_cbat"].forget()
    refused(ops("GET", KEYS, token=token), 401, "invalid_token")
    assert ops("GET", KEYS, token=token_for_service(ops.service, "ops")).status_code == 200


@pytest.mark.parametrize("kind", ["client", "subject"])
def test_revoking_by_name_leaves_the_client_its_next_token(ops, kind):
    """A client whose tokens are revoked gets one of use in the same second; a second revocation takes it."""
    service = ops.service
    wanted = {"kind": kind, "value": "billing"}
    tokens = [service.token()]
    for _ in range(3):
        assert ops("POST", REVOCATIONS, json=wanted).status_code == 201
        assert [service.introspect(one)["active"] for one in tokens] == [False] * len(tokens)
        tokens.append(service.token())
        assert service.introspect(tokens[-1])["active"] is True


@pytest.mark.parametrize("kind", ["client", "subject"])
def test_an_unknown_name_is_not_found(ops, kind):
    """A name that no client has is 404 and revokes nothing, unless it is said to be meant."""
    before = state(ops.service)
    wanted = {"kind": kind, "value": "nosuch"}
    description = refused(ops("POST", REVOCATIONS, json=wanted), 404, "not_found")
    assert "no client is named" in description
    assert state(ops.service) == before
    assert ops("POST", REVOCATIONS, json=wanted | {"force": True}).status_code == 201


@pytest.mark.parametrize("force", ["yes", 1, None])
def test_force_is_said_plainly(ops, force):
    """A `force` that is neither true nor false is refused, and revokes nothing."""
    before = state(ops.service)
    wanted = {"kind": "client", "value": "nosuch", "force": force}
    refused(ops("POST", REVOCATIONS, json=wanted), 400, "invalid_request")
    assert state(ops.service) == before
