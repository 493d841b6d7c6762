"""Administration over HTTP: clients, keys and revocations."""

import pytest

from macaroon_cbat.stores.client_secrets import secret_hash, secret_name
from tests.support.administrator import CLIENTS, KEYS, NEW, REVOCATIONS, administrator, state
from tests.support.databases import NOW
from tests.support.service import API, GRANT_TYPE, basic, refused


@pytest.fixture
def ops(service, certificate):
    """Return what asks as an administrator."""
    return administrator(service, certificate)


def test_a_client_is_registered_and_can_ask(ops):
    """A registered client gets its secret once, in RFC 7591's terms, and a token with it."""
    answer = ops("POST", CLIENTS, json=NEW)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    assert answer.json == {
        "client_id": "orders",
        "client_secret": answer.json["client_secret"],
        "client_id_issued_at": NOW,
        "client_secret_expires_at": 0,
        "scope": "read",
        "audiences": [API],
        "client_secret_id": secret_name(secret_hash(answer.json["client_secret"])),
    }
    assert len(answer.json["client_secret"]) == 43
    headers = {"Authorization": basic("orders", answer.json["client_secret"])}
    assert ops.service.open("/oauth2/token", data=GRANT_TYPE, headers=headers).status_code == 200


def test_a_secret_is_never_shown_again(ops):
    """Neither the secret of a client nor its hash is shown after registration, alone or in the list."""
    secret = ops("POST", CLIENTS, json=NEW).json["client_secret"]
    shown = ops("GET", CLIENTS + "/orders")
    named = {"client_secret_id": secret_name(secret_hash(secret))}
    assert shown.json == {**NEW, "client_id_issued_at": NOW, **named}
    listed = ops("GET", CLIENTS)
    assert shown.json in listed.json
    assert [one["client_id"] for one in listed.json] == sorted(one["client_id"] for one in listed.json)
    for answer in (shown, listed):
        assert secret not in answer.text
        assert secret_hash(secret).hex() not in answer.text
        assert "secret_hash" not in answer.text


def test_a_client_without_a_name_gets_one(ops):
    """A client registered without a name gets a different one from the service each time (RFC 7591 3.2.1)."""
    names = {ops("POST", CLIENTS, json={"scope": "read"}).json["client_id"] for _ in range(3)}
    assert len(names) == 3
    assert names <= {client.client_id for client in ops.service.stores.clients.all()}


def test_a_promise_to_compare_certificates_is_made_by_its_own_member(ops):
    """A resource server promises by `checks_certificates: true` and nothing else, and the record shows it."""
    promising = NEW | {"checks_certificates": True}
    assert ops("POST", CLIENTS, json=promising).json["checks_certificates"] is True
    assert ops("GET", CLIENTS + "/orders").json["checks_certificates"] is True
    vague = NEW | {"client_id": "vague", "checks_certificates": "true"}
    refused(ops("POST", CLIENTS, json=vague), 400, "invalid_client_metadata")
    schemas = ops.service.open("/openapi.json", method="GET").json["components"]["schemas"]
    assert schemas["ClientRegistration"]["properties"]["checks_certificates"]["type"] == "boolean"


def test_a_client_without_a_secret_gets_none(ops, certificate):
    """A client that authenticates by its certificate is answered without a secret."""
    by_certificate = {"token_endpoint_auth_method": "self_signed_tls_client_auth"}
    members = NEW | by_certificate | {"certificates": [certificate.thumbprint]}
    answer = ops("POST", CLIENTS, json=members)
    assert answer.status_code == 201
    assert not {"client_secret", "client_secret_expires_at"} & answer.json.keys()


def test_a_client_is_removed_at_once(ops):
    """A removed client gets no token any more, and cannot be removed again."""
    answer = ops("DELETE", CLIENTS + "/billing")
    assert (answer.status_code, answer.data) == (204, b"")
    refused(ops.service.ask_token("billing"), 401, "invalid_client")
    refused(ops("DELETE", CLIENTS + "/billing"), 404, "not_found")
    refused(ops("GET", CLIENTS + "/billing"), 404, "not_found")


def test_keys_rotate_and_retire(ops):
    """Rotation lets the next key mint; retiring takes all tokens of the old one, offline too."""
    [old, coming] = ops("GET", KEYS).json
    new = ops("POST", KEYS + "/rotate").json
    assert (new["kid"], new["state"]) == (coming["kid"], "current")
    before = ops.service.stores.revocations.newest()
    assert ops("POST", f"{KEYS}/{old['kid']}/retire").status_code == 204
    assert [one["state"] for one in ops("GET", KEYS).json] == ["retired", "current", "next"]
    [decision] = ops.service.stores.revocations.after(before).decisions
    assert (decision.kind, decision.value) == ("key", old["kid"])


def test_keys_show_no_secret(ops):
    """An answer about a key holds its name, its age, its state and since when, and nothing else."""
    for answer in (ops("GET", KEYS).json[0], ops("POST", KEYS + "/rotate").json):
        assert answer.keys() == {"kid", "created_at", "state", "since"}


def test_a_key_that_is_to_mint_cannot_be_retired(ops):
    """Retiring the current or the next key is a conflict, an unknown one is not found; nothing changes."""
    before = state(ops.service)
    for record in ops("GET", KEYS).json:
        refused(ops("POST", f"{KEYS}/{record['kid']}/retire"), 409, "conflict")
        refused(ops("POST", REVOCATIONS, json={"kind": "key", "value": record["kid"]}), 409, "conflict")
    refused(ops("POST", KEYS + "/000000000000/retire"), 404, "not_found")
    assert state(ops.service) == before


def test_a_revoked_certificate_opens_nothing(ops, certificate, other_certificate):
    """A certificate revoked over HTTP is refused from the next request on, the administrator's own too."""
    other = {"kind": "certificate", "value": other_certificate.thumbprint}
    answer = ops("POST", REVOCATIONS, json=other)
    assert (answer.status_code, answer.json["revoked_at"]) == (201, NOW)
    assert answer.json.items() >= other.items()
    refused(ops.service.ask_token("billing", other_certificate), 401, "invalid_client")
    own = {"kind": "certificate", "value": certificate.thumbprint}
    assert ops("POST", REVOCATIONS, json=own).status_code == 201
    refused(ops("GET", KEYS), 401, "invalid_token")


@pytest.mark.parametrize("kind", ["client", "subject"])
def test_a_client_loses_its_tokens_so_far(ops, kind):
    """Tokens of a client or subject are taken back up to this second, and later ones live."""
    token = ops.service.token()
    assert ops("POST", REVOCATIONS, json={"kind": kind, "value": "billing"}).status_code == 201
    assert ops.service.introspect(token) == {"active": False}
    ops.service.now += 1
    assert ops.service.introspect(ops.service.token())["active"]


def test_the_log_says_who_did_what(ops, caplog):
    """Each change is one line with the administrator's name, and never a secret or a token."""
    caplog.set_level("INFO", logger="macaroon_cbat.service")
    secret = ops("POST", CLIENTS, json=NEW).json["client_secret"]
    lines = [record.getMessage() for record in caplog.records]
    assert "ops did POST '/admin/clients'" in lines
    assert not any(secret in line for line in lines)
