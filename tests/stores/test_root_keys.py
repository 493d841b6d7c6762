import base64
import os

import pytest

from macaroon_cbat.errors import SettingsError, UnknownKey
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.stores import RootKeyRecord, RootKeyStore
from macaroon_cbat.stores.root_keys import MEMORY_SECONDS
from tests.support.databases import NOW, ON_SQLITE, WRAPPING_KEY, every_byte, execute, opened
from tests.support.key_clock import Clock, states


def test_the_first_keys_are_made(stores):
    """A new database has a current and a next root key of 32 random bytes each."""
    current, coming = stores.root_keys.all()
    assert (len(current.secret), len(coming.secret)) == (32, 32)
    assert current.secret != coming.secret
    assert stores.root_keys.current() == current
    assert stores.root_keys.records() == [
        RootKeyRecord(current.kid, NOW, "current", NOW),
        RootKeyRecord(coming.kid, NOW, "next", NOW),
    ]


@ON_SQLITE
def test_root_keys_cannot_be_read_from_the_disk(stores, tmp_path):
    """No root key stands in the database files, in no encoding that a thief would look for."""
    stores.root_keys.rotate(NOW)
    on_disk = every_byte(tmp_path)
    for key in stores.root_keys.all():
        assert key.kid.encode() in on_disk
        for size in (32, 16):
            part = key.secret[:size]
            assert part not in on_disk
            assert part.hex().encode() not in on_disk.lower()
            assert base64.b64encode(part).rstrip(b"=")[:-1] not in on_disk
            assert base64.urlsafe_b64encode(part).rstrip(b"=")[:-1] not in on_disk


def test_rotation_makes_a_new_current_key(stores):
    """Rotation lets the published next key mint, makes a new next one, and the old one goes on verifying."""
    old, coming = stores.root_keys.all()
    record = stores.root_keys.rotate(EpochSeconds(NOW + 9))
    assert record == RootKeyRecord(coming.kid, NOW, "current", EpochSeconds(NOW + 9))
    assert stores.root_keys.current() == coming
    assert stores.root_keys.find(old.kid) == old
    assert states(stores) == ["retiring", "current", "next"]
    assert record in stores.root_keys.records()


def test_the_newest_is_current_whatever_the_clock_says(stores):
    """Of keys made in one second, or after the clock was set back, the one made last is current."""
    for now in (NOW, NOW, NOW - 86_400, 0):
        record = stores.root_keys.rotate(now)
        assert stores.root_keys.current().kid == record.kid
        assert stores.root_keys.records()[-2].kid == record.kid


def test_another_process_mints_with_the_new_key_within_a_second(stores, open_again):
    """A rotation is seen by a store that is open elsewhere once a second has passed."""
    clock = Clock()
    elsewhere = RootKeyStore(open_again().database, WRAPPING_KEY, clock)
    old = elsewhere.current()
    new = stores.root_keys.rotate(NOW)
    assert elsewhere.current() == old
    clock.seconds += MEMORY_SECONDS
    assert elsewhere.current().kid == new.kid
    assert MEMORY_SECONDS <= 1


def test_another_process_knows_the_new_key_at_once(stores, open_again):
    """A token of a key made this very moment elsewhere is not refused as one of an unknown key."""
    elsewhere = RootKeyStore(open_again().database, WRAPPING_KEY, Clock())
    elsewhere.current()
    stores.root_keys.rotate(NOW)
    assert elsewhere.find(stores.root_keys.current().kid) == stores.root_keys.current()


def test_a_key_that_was_removed_is_forgotten(stores, open_again):
    """A root key that is removed from the database verifies nothing any more after a second."""
    clock = Clock()
    elsewhere = RootKeyStore(open_again().database, WRAPPING_KEY, clock)
    old = elsewhere.current()
    stores.root_keys.rotate(NOW)
    execute(stores, "DELETE FROM root_keys WHERE kid = :kid", kid=old.kid)
    clock.seconds += MEMORY_SECONDS
    with pytest.raises(UnknownKey, match=old.kid):
        elsewhere.find(old.kid)


def test_an_unknown_key_is_refused(stores):
    """A name that no root key has is UnknownKey."""
    for kid in ("unknown", "", stores.root_keys.current().kid.upper() + "X"):
        with pytest.raises(UnknownKey):
            stores.root_keys.find(kid)


def test_processes_rotate_at_once(racers, stores, url):
    """Rotations by hand at the same moment each make a key, and leave one current and one next key."""
    answers = racers.race("rotate", url)
    kids = [record.kid for record in stores.root_keys.records()]
    assert len(set(kids)) == 6
    assert kids in answers
    assert states(stores) == ["retiring"] * 4 + ["current", "next"]


def test_swapped_keys_are_noticed(stores, url):
    """An attacker who writes to the database cannot put one root key under the name of another."""
    stores.root_keys.rotate(NOW)
    [first, second, third] = execute(stores, "SELECT kid, wrapped_secret FROM root_keys")
    for (kid, _), (_, wrapped) in ((first, second), (second, third), (third, first)):
        execute(
            stores,
            "UPDATE root_keys SET wrapped_secret = :wrapped WHERE kid = :kid",
            wrapped=wrapped,
            kid=kid,
        )
    with pytest.raises(SettingsError, match="cannot be decrypted"):
        opened(url)


def test_a_planted_key_is_noticed(stores, url):
    """An attacker who writes to the database without the wrapping key cannot add a root key."""
    mine = os.urandom(12) + b"k" * 48
    execute(stores, "INSERT INTO root_keys VALUES ('mine', :mine, 1, 'current', 1)", mine=mine)
    with pytest.raises(SettingsError, match="mine cannot be decrypted"):
        opened(url)


def test_a_root_key_does_not_print(stores):
    """A root key shows its name, never itself."""
    key = stores.root_keys.current()
    shown = repr(key) + repr(stores.root_keys.all()) + repr(stores.root_keys.records())
    assert key.kid in shown
    assert repr(key.secret)[2:-1] not in shown
    assert key.secret.hex() not in shown
