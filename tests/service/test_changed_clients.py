"""Changing what a client may do over HTTP: what is named changes, and a right less counts at once."""

import pytest

from macaroon_cbat.service.admin.revocable import LASTING
from tests.support.administrator import CLIENTS, NEW, administrator, state
from tests.support.databases import NOW
from tests.support.resource_server import ask, register, token_for_service
from tests.support.service import API, ISSUER, OTHER_API, refused

KEYS, FEED = "/resource/keys", "/resource/revocations"
INACTIVE = {"active": False}


@pytest.fixture
def ops(on_each_database, certificate):
    """Return what asks as an administrator."""
    return administrator(on_each_database, certificate)


@pytest.fixture(scope="module")
def refused_ops(lasting_on_each_database, certificate):
    """Return what asks as an administrator whose every request here is refused."""
    return administrator(lasting_on_each_database, certificate)


def changed(ops, client, **members):
    answer = ops("PATCH", f"{CLIENTS}/{client}", json=members)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_what_is_named_changes_and_the_rest_stays(ops):
    """A change puts the members that it names in place of what they were, and answers with all of them."""
    named = ops("POST", CLIENTS, json=NEW).json["client_secret_id"]
    shown = {**NEW, "client_id_issued_at": NOW, "client_secret_id": named}
    assert changed(ops, "orders", serves=[API]) == {**shown, "serves": [API], "tokens_revoked": False}
    assert changed(ops, "orders", scope="read write")["serves"] == [API]
    assert ops("GET", CLIENTS + "/orders").json == {**shown, "scope": "read write", "serves": [API]}


def test_null_is_the_default(ops):
    """A member that is null becomes what it is where nothing is said (RFC 7396)."""
    ops("POST", CLIENTS, json=NEW | {"serves": [API], "understands_caveats": True})
    answer = changed(ops, "orders", audiences=None, understands_caveats=None, scope=None)
    assert answer["tokens_revoked"] is True
    assert not {"audiences", "understands_caveats", "scope"} & ops("GET", CLIENTS + "/orders").json.keys()


def test_the_secret_stays(ops):
    """A changed client authenticates as before, and no secret is in the answer."""
    assert "client_secret" not in changed(ops, "billing", scope="read write")
    assert ops.service.ask_token("billing").json["scope"] == "read write"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"serves": ["api"]}, "absolute URI"),
        ({"serves": [API, API]}, "twice"),
        ({"serves": API}, "serves"),
        ({"serves": [ISSUER]}, "serves names the service itself"),
        ({"scope": "read keys"}, "register one for each of keys; read"),
        ({"scope": "admin keys"}, "register one for each of keys; admin"),
        ({"scope": None}, "scope"),
        ({"scope": ""}, "scope"),
        ({"client_id": "root"}, "client_id"),
        ({"client_secret": "mine"}, "client_secret"),
        ({"colour": None}, "colour"),
        ({"token_endpoint_auth_method": "none"}, "public client"),
        (
            {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a"},
            "secret does not match",
        ),
        ({"certificates": ["A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"]}, "self_signed"),
    ],
    ids=str,
)
def test_a_change_is_read_strictly(refused_ops, members, reason):
    """A change that could not be registered, or of no member, is refused with the reason; nothing changes."""
    before = state(refused_ops.service)
    answer = refused_ops("PATCH", CLIENTS + "/billing", json=members)
    assert reason in refused(answer, 400, "invalid_client_metadata")
    assert state(refused_ops.service) == before


def test_who_is_not_registered_is_not_found(ops):
    """A client that is not registered is not found, and nothing has changed."""
    before = state(ops.service)
    refused(ops("PATCH", CLIENTS + "/nosuch", json={"serves": [API]}), 404, "not_found")
    assert state(ops.service) == before


@pytest.mark.parametrize("scope", ["read keys", "admin read", "admin revocations"])
def test_roles_are_not_mixed(refused_ops, scope):
    """A registration that mixes the roles of caller, resource server and administrator is refused."""
    before = state(refused_ops.service)
    answer = refused_ops("POST", CLIENTS, json=NEW | {"scope": scope})
    assert "register one for each of" in refused(answer, 400, "invalid_client_metadata")
    assert state(refused_ops.service) == before


def test_roles_that_were_mixed_can_be_parted(ops):
    """A client whose scopes were mixed before there was a rule is changed otherwise, and then parted."""
    register(ops.service, "invoices", scope="read keys")
    assert changed(ops, "invoices", serves=[API])["scope"] == "read keys"
    assert changed(ops, "invoices", scope="keys")["tokens_revoked"] is True


def test_no_client_serves_the_service_itself(ops):
    """The issuer's own audience is served by no client: its keys would mint an administrator's token."""
    before = state(ops.service)
    answer = ops("POST", CLIENTS, json={"scope": "keys", "serves": [API, ISSUER]})
    assert "service itself" in refused(answer, 400, "invalid_client_metadata")
    assert state(ops.service) == before


def test_a_right_less_takes_the_tokens_that_had_it(ops):
    """Tokens so far of a client that lost a scope are inactive at once, and new ones do without it."""
    token = ops.service.token()
    assert changed(ops, "billing", scope="read")["tokens_revoked"] is True
    assert ops.service.introspect(token) == INACTIVE
    new = ops.service.token()
    assert ops.service.introspect(new)["scope"] == "read"
    [decision] = ops.service.stores.revocations.after(0, API).decisions
    assert (decision.kind, decision.value) == ("client", "billing")
    assert decision.expires_at == decision.revoked_at + LASTING


def test_a_right_more_leaves_tokens_alone(ops):
    """Tokens of a client that was given an audience stay active."""
    token = ops.service.token()
    assert changed(ops, "billing", audiences=[API, OTHER_API])["tokens_revoked"] is False
    assert ops.service.introspect(token)["active"] is True


def test_an_audience_that_is_not_served_any_more_gives_nothing(ops, certificate):
    """A resource server that serves nothing any more gets 401 for its old token, and 403 for a new one."""
    register(ops.service, "invoices", scope="keys revocations", serves=(API,))
    old = token_for_service(ops.service)
    assert ask(ops.service, KEYS, old, certificate).status_code == 200
    changed(ops, "invoices", serves=None)
    for path in (KEYS, FEED):
        refused(ask(ops.service, path, old, certificate), 401, "invalid_token")
        answer = ask(ops.service, path, token_for_service(ops.service), certificate)
        description = refused(answer, 403, "access_denied")
        assert description == (
            "client invoices serves no audience: to allow it, run macaroon-cbat client update invoices "
            "--serves URL"
        )


def test_a_cursor_ends_with_the_audiences_that_it_is_of(ops, certificate):
    """A cursor is refused, as it would leave a gap, once its resource server serves other audiences."""
    register(ops.service, "invoices", scope="keys revocations", serves=(API,))
    token = token_for_service(ops.service)
    cursor = ask(ops.service, FEED, token, certificate).json["cursor"]
    changed(ops, "invoices", serves=[OTHER_API, API])
    answer = ask(ops.service, FEED, token, certificate, query={"after": cursor})
    assert "other audiences" in refused(answer, 400, "invalid_request")
    for audience in (API, OTHER_API):
        keys = ask(ops.service, KEYS, token, certificate, query={"audience": audience})
        assert [one["audience"] for one in keys.json["audiences"]] == [audience]
