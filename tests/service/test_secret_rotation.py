"""Another secret for a client: what the old one is good for, and what becomes of its tokens."""

import pytest

from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.service.admin.revocable import LASTING
from macaroon_cbat.stores.client_secrets import LONGEST_OVERLAP, secret_hash, secret_name
from tests.support.administrator import CLIENTS, administrator, state
from tests.support.audit_events import events
from tests.support.databases import NOW
from tests.support.resource_server import token_for_service
from tests.support.service import API, GRANT_TYPE, SECRETS, basic, refused

SECRET = CLIENTS + "/billing/secret"
INACTIVE = {"active": False}
GIVEN = "Zk3p_Rw8vB-nM5Tq1Yx7"


@pytest.fixture
def ops(on_each_database, certificate):
    """Return what asks as an administrator."""
    return administrator(on_each_database, certificate)


@pytest.fixture
def refused_ops(service, certificate):
    """Return what asks as an administrator, on one database."""
    return administrator(service, certificate)


def rotated(ops, **members):
    answer = ops("POST", SECRET, json=members)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store"), answer.text
    return answer.json


def asked(ops, secret, client="billing"):
    """Ask for a token by this secret."""
    headers = {"Authorization": basic(client, secret)}
    return ops.service.open("/oauth2/token", data=GRANT_TYPE, headers=headers)


def test_a_secret_ends_at_once_and_the_tokens_with_it(ops):
    """Without a time to keep it, the old secret opens nothing any more, and no token of the client does."""
    token = ops.service.token()
    answer = rotated(ops)
    assert (answer["tokens_revoked"], answer["old_secret_until"]) == (True, None)
    refused(asked(ops, SECRETS["billing"]), 401, "invalid_client")
    assert ops.service.introspect(token) == INACTIVE
    new = asked(ops, answer["client_secret"])
    assert ops.service.introspect(new.json["access_token"])["active"] is True
    [decision] = ops.service.stores.revocations.after(0, API).decisions
    assert (decision.kind, decision.value) == ("client", "billing")
    assert decision.expires_at == decision.revoked_at + LASTING


def test_an_old_secret_is_good_for_its_time(ops):
    """The old secret is as good as the new one until its second has come; its tokens stay."""
    token = ops.service.token()
    answer = rotated(ops, keep_old_seconds=3600)
    assert (answer["tokens_revoked"], answer["old_secret_until"]) == (False, NOW + 3600)
    for seconds, statuses in ((0, [200, 200]), (3599, [200, 200]), (3600, [401, 200])):
        ops.service.now = NOW + seconds
        both = (SECRETS["billing"], answer["client_secret"])
        assert [asked(ops, secret).status_code for secret in both] == statuses
    ops.service.now = NOW
    assert ops.service.introspect(token)["active"] is True
    assert ops.service.stores.revocations.newest() == 0


def test_a_second_rotation_ends_the_first_old_secret(ops):
    """A client has two secrets at most: the second rotation ends the one before the last."""
    first = rotated(ops, keep_old_seconds=3600)["client_secret"]
    second = rotated(ops, keep_old_seconds=60)["client_secret"]
    refused(asked(ops, SECRETS["billing"]), 401, "invalid_client")
    assert [asked(ops, secret).status_code for secret in (first, second)] == [200, 200]
    rotated(ops)
    assert [asked(ops, secret).status_code for secret in (first, second)] == [401, 401]


def test_the_clients_own_hash_is_taken(ops):
    """A secret that the client has already is named by its SHA-256, and again it changes nothing."""
    hashed = secret_hash(GIVEN).hex()
    answer = rotated(ops, client_secret_sha256=hashed, keep_old_seconds=60)
    assert answer["client_secret"] is None
    assert [asked(ops, secret).status_code for secret in (GIVEN, SECRETS["billing"])] == [200, 200]
    assert rotated(ops, client_secret_sha256=hashed)["tokens_revoked"] is False
    assert asked(ops, SECRETS["billing"]).status_code == 200


def test_what_is_shown_of_secrets(refused_ops):
    """A record names the secret and the time of the old one, and neither secret nor hash is in it."""
    new = rotated(refused_ops, keep_old_seconds=60)["client_secret"]
    shown = refused_ops("GET", CLIENTS + "/billing")
    assert shown.json["client_secret_id"] == secret_name(secret_hash(new))
    assert shown.json["old_secret_until"] == NOW + 60
    hidden = [new, SECRETS["billing"], *(secret_hash(one).hex() for one in (new, SECRETS["billing"]))]
    assert not [one for one in hidden if one in shown.text]
    refused_ops.service.now = NOW + 60
    assert "old_secret_until" not in refused_ops("GET", CLIENTS + "/billing").json


@pytest.mark.parametrize(
    ("client", "members", "status", "reason"),
    [
        ("billing", {"keep_old_seconds": -1}, 400, "keep_old_seconds"),
        ("billing", {"keep_old_seconds": LONGEST_OVERLAP + 1}, 400, "keep_old_seconds"),
        ("billing", {"keep_old_seconds": "24h"}, 400, "keep_old_seconds"),
        ("billing", {"client_secret_sha256": "A" * 64}, 400, "client_secret_sha256"),
        ("billing", {"client_secret_sha256": "a" * 63}, 400, "client_secret_sha256"),
        ("billing", {"client_secret": GIVEN}, 400, "client_secret"),
        ("nosuch", {}, 404, "no client 'nosuch'"),
        ("tls", {}, 409, "has no secret: it authenticates by tls_client_auth"),
    ],
    ids=str,
)
def test_a_bad_rotation_changes_nothing(refused_ops, client, members, status, reason):
    """A rotation that cannot be is refused with the reason, and the client is as it was."""
    by_name = {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a.example"}
    refused_ops("POST", CLIENTS, json={"client_id": "tls", "scope": "read", **by_name})
    before = state(refused_ops.service)
    answer = refused_ops("POST", f"{CLIENTS}/{client}/secret", json=members)
    assert (answer.status_code, reason.replace("'", "") in answer.text.replace("'", "")) == (status, True)
    assert state(refused_ops.service) == before


def test_the_audit_log_says_which_secret_was_used(audited, file, certificate):
    """A rotation is one line, a token by the old secret says so, and an ended one is no wrong one."""
    ops = administrator(audited, certificate)
    new = rotated(ops, keep_old_seconds=60)["client_secret"]
    rotation = events(file)[-1]
    assert {name: rotation[name] for name in ("event", "who", "client_id", "until")} == {
        "event": "client.secret_rotated",
        "who": "ops",
        "client_id": "billing",
        "until": "2025-12-31T23:01:00Z",
    }
    asked(ops, SECRETS["billing"])
    asked(ops, new)
    assert [(line["event"], line.get("secret")) for line in events(file)[-2:]] == [
        ("token.minted", "old"),
        ("token.minted", None),
    ]
    audited.now = NOW + 60
    asked(ops, SECRETS["billing"])
    assert events(file)[-1]["reason"] == ("the old secret of billing has ended: it has to send the new one")
    text = file.read_text()
    assert not [one for one in (new, SECRETS["billing"]) if one in text or secret_hash(one).hex() in text]


def test_an_unaudited_rotation_is_none(audited, file, certificate):
    """A rotation that cannot be audited is not made: the old secret is good, and no other one is."""
    ops = administrator(audited, certificate)
    token, own = ops.service.token(), token_for_service(audited, "ops")
    write_log_to("/dev/full")
    answer = ops("POST", SECRET, token=own, json={})
    write_log_to(str(file))
    assert answer.status_code == 503
    assert asked(ops, SECRETS["billing"]).status_code == 200
    assert ops.service.introspect(token)["active"] is True
