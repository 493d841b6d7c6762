"""`revoke all tokens`: every token so far ends, with all that could become one, and new ones are valid."""

import pytest

from macaroon_cbat.macaroon.revocation import Revocation, Revocations
from tests.support.administrator import CLIENTS, REVOCATIONS, administrator, state
from tests.support.databases import NOW, grant
from tests.support.refresh import WEB, ask_refresh, begun
from tests.support.refresh import register as register_web
from tests.support.registering import ask, invitation, path_of, register, registered
from tests.support.service import API, grant_of, refused

EVERY = {"kind": "all", "value": "tokens"}


@pytest.fixture
def ops(on_each_database, certificate):
    """Return what asks as an administrator."""
    return administrator(on_each_database, certificate)


def test_every_token_ends_and_new_ones_are_valid(ops):
    """Tokens of every client and key are inactive at once, those minted from then on are active."""
    old = [ops.service.token(client) for client in ("billing", "payroll")]
    assert ops("POST", REVOCATIONS, json=EVERY).status_code == 201
    assert [ops.service.introspect(token) for token in old] == [{"active": False}] * 2
    assert ops.service.introspect(ops.service.token())["active"] is True
    [decision] = ops.service.stores.revocations.after(0, API).decisions
    assert (decision.kind, decision.value) == ("all", "tokens")
    assert grant_of(ops.service.token()).iat == decision.revoked_at + 1
    ops("POST", CLIENTS, json={"client_id": "new", "scope": "read", "client_secret_sha256": "a" * 64})
    assert ops.service.stores.clients.look_up("new").tokens_since == decision.revoked_at + 1


def test_nothing_goes_on_that_could_become_a_token(ops):
    """Refresh tokens, invitations and registration access tokens end as well, and their clients stay."""
    service = ops.service
    register_web(service)
    family, invited, made = begun(service), invitation(service), registered(service)
    ops("POST", REVOCATIONS, json=EVERY)
    assert ask_refresh(service, family).status_code == 400
    assert service.stores.families.live(NOW, limit=9)[0] == []
    assert register(service, invited).status_code == 401
    assert ask(service, "GET", path_of(made), made["registration_access_token"]).status_code == 401
    assert service.stores.clients.look_up(made["client_id"]) is not None
    assert service.stores.clients.look_up(WEB) is not None


def test_codes_and_sessions_end(ops):
    """A record with which a person or client could go on is gone; what must not be used again stays."""
    store = ops.service.stores.expiring
    kinds = (
        "code",
        "device",
        "user_code",
        "pushed_request",
        "asked",
        "session",
        "login",
        "consent",
        "discharge",
    )
    for kind in (*kinds, "used_assertion", "used_proof", "wrong_codes"):
        store.add(kind, "it", b"{}", expires_at=NOW + 600, now=NOW)
    ops("POST", REVOCATIONS, json=EVERY)
    assert [kind for kind in kinds if store.find(kind, "it", NOW) is not None] == []
    assert None not in [
        store.find(kind, "it", NOW) for kind in ("used_assertion", "used_proof", "wrong_codes")
    ]


def test_another_value_revokes_nothing(ops):
    """The value must be the one word: a mistyped request does not end every token."""
    before = state(ops.service)
    for value in ("*", "all", "Tokens", "billing"):
        refused(ops("POST", REVOCATIONS, json=EVERY | {"value": value}), 400, "invalid_request")
    assert state(ops.service) == before


@pytest.mark.parametrize(
    ("issued", "is_revoked"), [(-1, True), (0, True), (1, False)], ids=["before", "at", "after"]
)
def test_a_follower_knows_it_by_the_second(issued, is_revoked):
    """A resource server refuses every token that was issued until then, of whatever client and key."""
    decision = Revocation(kind="all", value="tokens", revoked_at=NOW, expires_at=NOW + 60)
    known = Revocations([decision]).copy()
    assert list(known) == [decision]
    asked = grant(client_id="unheard", sub="unheard", kid="unheard", iat=NOW + issued)
    assert (known.reason(asked, None) is not None) is is_revoked
    known.forget(NOW + 100_000)
    assert known.reason(asked, None) is None
