"""Invitations and registrations in the database: counted, kept and encrypted, all or nothing."""

import pytest
from msgspec import structs

from macaroon_cbat.errors import ClientExists, InvalidToken, Unavailable
from macaroon_cbat.stores import ClientMetadata, WrappingKey
from macaroon_cbat.stores.registrations import Counter, NewRegistration
from tests.support.databases import METADATA, NOW, SECRET, WRAPPING_KEY, execute, remove

NEW = NewRegistration(
    client_id="app",
    metadata=METADATA,
    secret=SECRET,
    bounds=b'{"scopes":["read"]}',
    invitation="invitation",
    counters=(Counter("one", 2), Counter("other", 3)),
    expires_at=NOW + 60,
    unused_until=None,
    token_id="token of app",
)


@pytest.fixture
def invited(stores):
    stores.registrations.invite("invitation", NOW + 60, NOW)
    return stores


def register(stores, name="app", now=NOW, **changes):
    wanted = structs.replace(NEW, client_id=name, **changes)
    return stores.registrations.register(wanted, now, lambda _: None)


def test_a_registration_is_found_with_its_key_and_bounds(invited, open_again):
    """A client that registered itself is found by every process, with the key of its token and its bounds."""
    client, key = register(invited)
    other = open_again()
    assert other.clients.find("app") == client
    found = other.registrations.registered("app", NOW)
    assert (found.key, found.bounds) == (key, NEW.bounds)
    assert other.registrations.registered("other", NOW) is None


def test_an_invitation_lives_until_it_expires(invited, open_again):
    """The key of an invitation is found by every process until the second in which it expires."""
    assert open_again().registrations.invitation("invitation", NOW + 59) is not None
    assert open_again().registrations.invitation("invitation", NOW + 60) is None
    with pytest.raises(InvalidToken, match="has ended"):
        register(invited, now=NOW + 60)


def test_counters_bound_what_any_process_registers(invited, open_again):
    """Every counter of a registration counts it, and the first that is full refuses."""
    register(invited, "a")
    register(open_again(), "b")
    with pytest.raises(InvalidToken, match="allows 2 registrations"):
        register(open_again(), "c")
    register(invited, "d", counters=NEW.counters[1:])
    with pytest.raises(InvalidToken, match="allows 3 registrations"):
        register(open_again(), "e", counters=NEW.counters[1:])


def fail(_):
    raise Unavailable("the audit log is full")


@pytest.mark.parametrize("failure", ["the audit", "the name"])
def test_a_registration_that_fails_leaves_nothing(invited, failure):
    """A registration that fails at its end registers no client and uses nothing of the invitation up."""
    invited.clients.add("taken", METADATA, secret=SECRET, now=NOW)
    for _ in range(5):
        with pytest.raises(Unavailable if failure == "the audit" else ClientExists):
            invited.registrations.register(
                structs.replace(NEW, client_id="app" if failure == "the audit" else "taken"), NOW, fail
            )
    assert invited.clients.look_up("app") is None
    assert invited.registrations.registered("app", NOW) is None
    register(invited)


@pytest.mark.parametrize("end", ["removed", "revoked", "narrowed"])
def test_what_an_administrator_ends_is_ended(invited, end):
    """The key of a client's token ends with the client, its tokens, and a right that it loses."""
    register(invited)
    acts = {
        "removed": lambda: remove(invited, "app"),
        "revoked": lambda: invited.clients.revoke_tokens("client", "app", lambda: NOW, lasting=60),
        "narrowed": lambda: invited.clients.change(
            "app",
            lambda _: ClientMetadata(scope="read", audiences=METADATA.audiences),
            lambda: NOW,
            lasting=60,
        ),
    }
    assert acts[end]()
    assert invited.registrations.registered("app", NOW) is None


def test_a_key_that_another_process_wrapped_anew_is_unavailable(invited, open_again):
    """A process with the wrapping key of before answers that it cannot tell: no client did anything wrong."""
    register(invited)
    new = structs.replace(WrappingKey(bytes(32)), previous=(WRAPPING_KEY.secret,))
    open_again().root_keys.rewrap(new)
    with pytest.raises(Unavailable, match="another wrapping key"):
        invited.registrations.registered("app", NOW)
    with pytest.raises(Unavailable, match="another wrapping key"):
        invited.registrations.invitation("invitation", NOW)


def test_keys_are_encrypted_and_rewrapped(invited, open_again):
    """No key of an invitation or registration lies in the clear, and a rewrap encrypts each anew."""
    _, key = register(invited)
    invitation = invited.registrations.invitation("invitation", NOW)
    kept = b"".join(bytes(row[0]) for row in execute(invited, "SELECT content FROM expiring_records"))
    assert key.secret not in kept
    new = WrappingKey(bytes(32))
    invited.root_keys.rewrap(structs.replace(new, previous=(WRAPPING_KEY.secret,)))
    other = open_again(new)
    assert other.registrations.invitation("invitation", NOW) == invitation
    assert other.registrations.registered("app", NOW).key == key
