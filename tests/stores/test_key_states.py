"""The life of a root key: next, current, retiring, retired."""

import pytest

from macaroon_cbat.errors import InvalidRequest, UnknownKey
from macaroon_cbat.stores import RootKeyStore
from macaroon_cbat.stores.root_keys import GRACE_SECONDS, MEMORY_SECONDS
from tests.support.databases import NOW, WRAPPING_KEY, execute, grant
from tests.support.key_clock import Clock, states
from tests.support.racer import DAY

WEEK = 7 * DAY


def test_a_key_goes_through_every_state(stores):
    """A key is published before it mints, mints, verifies on, and is retired in the end."""
    kid = stores.root_keys.records()[-1].kid
    seen = []
    for act in (lambda: None, lambda: stores.root_keys.rotate(NOW), lambda: stores.root_keys.rotate(NOW)):
        act()
        seen.append({one.kid: one.state for one in stores.root_keys.records()}[kid])
        assert stores.root_keys.find(kid)
    stores.root_keys.retire(kid, NOW)
    assert seen == ["next", "current", "retiring"]
    assert {one.kid: one.state for one in stores.root_keys.records()}[kid] == "retired"


def test_a_young_key_is_not_rotated(stores):
    """A rotation because of age does nothing while the current key is young."""
    current = stores.root_keys.current()
    assert stores.root_keys.rotate(NOW + WEEK - 1, unless_younger_than=WEEK).kid == current.kid
    assert stores.root_keys.current() == current
    assert stores.root_keys.rotate(NOW + WEEK, unless_younger_than=WEEK).kid != current.kid


def test_the_policy_rotates_when_it_is_due(stores):
    """A key mints for as long as the policy says, counted from when it began to mint."""
    ages = []
    for now in range(NOW, NOW + 3 * WEEK, DAY):
        stores.root_keys.keep(now, WEEK, DAY)
        [current] = [one for one in stores.root_keys.records() if one.state == "current"]
        ages.append((now - current.since) // DAY)
    assert ages == [*range(7)] * 3


def test_without_a_policy_nothing_rotates(stores):
    """A rotation of 0 seconds means by hand: no key ever becomes too old."""
    current = stores.root_keys.current()
    stores.root_keys.keep(NOW + 1000 * WEEK, 0, DAY)
    assert stores.root_keys.current() == current
    assert states(stores) == ["current", "next"]


def test_a_clock_set_back_rotates_nothing(stores):
    """A clock that is set back makes no key old."""
    stores.root_keys.rotate(NOW)
    before = stores.root_keys.records()
    stores.root_keys.keep(NOW - WEEK, WEEK, DAY)
    assert stores.root_keys.records() == before


def test_processes_rotate_once_by_policy(racers, stores, url):
    """Processes that find the key too old at the same moment rotate it once."""
    old, coming = stores.root_keys.all()
    assert all(len(kids) == 3 for kids in racers.race("keep", url))
    assert states(stores) == ["retiring", "current", "next"]
    assert [one.kid for one in stores.root_keys.records()[:2]] == [old.kid, coming.kid]


def test_two_who_rotate_by_hand_rotate_twice(stores, open_again):
    """Two rotations by hand are two rotations, and leave one current and one next key."""
    elsewhere = open_again()
    for one in (stores, elsewhere):
        one.root_keys.rotate(NOW)
    assert states(stores) == ["retiring", "retiring", "current", "next"]
    stores.root_keys.find(elsewhere.root_keys.current().kid)
    assert stores.root_keys.find(elsewhere.root_keys.current().kid) == elsewhere.root_keys.current()


def test_the_outlived_are_retired(stores):
    """A key verifies until the last token made with it has expired, on every clock, then it is retired."""
    old = stores.root_keys.current()
    stores.root_keys.rotate(NOW)
    stores.root_keys.keep(NOW + DAY + GRACE_SECONDS - 1, 0, DAY)
    assert stores.root_keys.find(old.kid) == old
    stores.root_keys.keep(NOW + DAY + GRACE_SECONDS, 0, DAY)
    assert states(stores) == ["retired", "current", "next"]
    with pytest.raises(UnknownKey):
        stores.root_keys.find(old.kid)
    assert stores.revocations.newest() == 0


def test_every_outlived_key_is_retired(stores):
    """Several keys that were outlived between two looks are retired together, the young ones are not."""
    for day in range(4):
        stores.root_keys.rotate(NOW + day * DAY)
    stores.root_keys.retire_outlived(NOW + 3 * DAY + GRACE_SECONDS, DAY)
    assert states(stores) == ["retired"] * 3 + ["retiring", "current", "next"]


def test_a_retired_key_is_wiped(stores):
    """Of a retired key nothing is stored but its name and its dates."""
    old = stores.root_keys.current()
    stores.root_keys.rotate(NOW)
    stores.root_keys.retire(old.kid, NOW + 5)
    [row] = execute(stores, "SELECT * FROM root_keys WHERE kid = :kid", kid=old.kid)
    assert [bytes(row[1]), *row[2:]] == [b"", NOW, "retired", NOW + 5]


def test_a_retired_key_verifies_nothing_anywhere(stores, open_again):
    """A key that is retired in one process is unknown in every other one within a second."""
    clock = Clock()
    elsewhere = RootKeyStore(open_again().database, WRAPPING_KEY, clock)
    old = elsewhere.current()
    stores.root_keys.rotate(NOW)
    assert elsewhere.find(old.kid) == old
    stores.root_keys.retire(old.kid, NOW)
    clock.seconds += MEMORY_SECONDS
    with pytest.raises(UnknownKey, match=old.kid):
        elsewhere.find(old.kid)


@pytest.mark.parametrize("state", [0, 1], ids=["current", "next"])
def test_a_key_that_is_to_mint_is_not_retired(stores, state):
    """A current or next key cannot be retired: the refusal says to rotate first, and nothing changes."""
    before = stores.root_keys.records()
    with pytest.raises(InvalidRequest, match="rotate until it is retiring"):
        stores.root_keys.retire(before[state].kid, NOW, revoked_until=NOW + DAY)
    assert stores.root_keys.records() == before
    assert stores.revocations.newest() == 0


@pytest.mark.parametrize("kid", ["unknown", "", "' OR 1=1 --"])
def test_an_unknown_key_is_not_retired(stores, kid):
    """An unknown key cannot be retired: the refusal names it."""
    with pytest.raises(InvalidRequest, match="is unknown: see key list") as refused:
        stores.root_keys.retire(kid, NOW, revoked_until=NOW + DAY)
    assert repr(kid) in str(refused.value)
    assert stores.revocations.newest() == 0


def test_retiring_tells_the_feed(stores):
    """A key that an operator retires is revoked in the same step, for every audience."""
    old = stores.root_keys.current()
    stores.root_keys.rotate(NOW)
    for now in (NOW, NOW + 1):
        stores.root_keys.retire(old.kid, now, revoked_until=now + DAY)
    asked = grant(kid=old.kid)
    assert old.kid in stores.revocations.concerning(asked, None).reason(asked, None)
    [decision] = stores.revocations.after(0, "https://api.example").decisions
    assert (decision.kind, decision.value, decision.expires_at) == ("key", old.kid, NOW + 1 + DAY)


def test_a_missing_next_key_is_made_at_the_start(stores, open_again):
    """A database without a next key gets one when it is opened, and nothing else changes."""
    execute(stores, "DELETE FROM root_keys WHERE state = 'next'")
    current = stores.root_keys.records()
    again = open_again()
    assert again.root_keys.records()[:-1] == current
    assert states(again) == ["current", "next"]
