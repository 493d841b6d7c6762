"""The key that encrypts root keys is itself replaced, and nothing is lost on the way."""

import os
from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.stores import (
    RootKeyStore,
    WrappingKey,
    read_or_make_wrapping_key,
    wrapping_key_from_text,
)
from macaroon_cbat.stores.root_keys import MEMORY_SECONDS
from macaroon_cbat.stores.wrapping_key import replace_wrapping_key, wrapping_key_text
from tests.support.another_user import no_room
from tests.support.databases import NOW, execute
from tests.support.key_clock import Clock


class StoppedError(Exception):
    """The process ends here."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "wrapping.key"


@pytest.fixture
def wrapped(open_again, file):
    """Open a database whose root keys are wrapped under the key in the file."""
    execute(open_again(), "DELETE FROM root_keys")
    stores = open_again(read_or_make_wrapping_key(file))
    stores.root_keys.rotate(NOW)
    return stores


def words(file: Path) -> list[str]:
    return file.read_text().split()


def test_every_key_is_encrypted_anew(wrapped, file, open_again):
    """After a rewrap every root key is the same, opens with the new key alone, and not with the old one."""
    [old], before = words(file), wrapped.root_keys.all()
    ciphertexts = execute(wrapped, "SELECT wrapped_secret FROM root_keys")
    assert replace_wrapping_key(file, wrapped.root_keys.rewrap) == 3
    [new] = words(file)
    assert new != old
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]
    assert not {*ciphertexts} & {*execute(wrapped, "SELECT wrapped_secret FROM root_keys")}
    assert open_again(wrapping_key_from_text(new, "X")).root_keys.all() == before
    with pytest.raises(SettingsError, match="cannot be decrypted"):
        open_again(wrapping_key_from_text(old, "X"))


def test_a_running_process_goes_on(wrapped, file, open_again):
    """A process opens keys while they are rewrapped, rotates, and makes none that others cannot open."""
    clock = Clock()
    old = read_or_make_wrapping_key(file)
    running = RootKeyStore(open_again(old).database, old, clock)
    before = running.all()
    for _ in range(3):
        replace_wrapping_key(file, wrapped.root_keys.rewrap)
        clock.seconds += MEMORY_SECONDS
        assert running.all() == before
    running.rotate(NOW)
    kids = [key.kid for key in running.all()]
    assert [key.kid for key in open_again(read_or_make_wrapping_key(file)).root_keys.all()] == kids


@pytest.mark.parametrize("step", ["before the database", "after the database"])
def test_a_rewrap_that_stops_half_way_loses_nothing(wrapped, file, open_again, step):
    """Wherever a rewrap is stopped, the service starts again, and a second rewrap ends it."""
    before = wrapped.root_keys.all()

    def stopped(key: WrappingKey) -> int:
        if step == "after the database":
            wrapped.root_keys.rewrap(key)
        raise StoppedError

    for count in (2, 3):
        with pytest.raises(StoppedError):
            replace_wrapping_key(file, stopped)
        assert len(words(file)) == count
        assert open_again(read_or_make_wrapping_key(file)).root_keys.all() == before
    again = open_again(read_or_make_wrapping_key(file))
    assert replace_wrapping_key(file, again.root_keys.rewrap) == 3
    assert len(words(file)) == 1
    assert open_again(read_or_make_wrapping_key(file)).root_keys.all() == before


def test_a_rewrap_that_cannot_be_written_changes_nothing(wrapped, file, open_again):
    """A rewrap that the database refuses leaves every key as it was, and the file opens them."""
    execute(wrapped, "UPDATE root_keys SET wrapped_secret = :x WHERE state = 'next'", x=b"nonsense" * 8)
    before = execute(wrapped, "SELECT kid, wrapped_secret FROM root_keys ORDER BY kid")
    with pytest.raises(SettingsError, match="cannot be decrypted"):
        replace_wrapping_key(file, wrapped.root_keys.rewrap)
    assert execute(wrapped, "SELECT kid, wrapped_secret FROM root_keys ORDER BY kid") == before
    key = read_or_make_wrapping_key(file)
    for kid, ciphertext in before:
        if bytes(ciphertext) != b"nonsense" * 8:
            assert key.unwrap(kid, bytes(ciphertext))


def test_one_rewrap_at_a_time(wrapped, file, open_again):
    """A second rewrap beside the first is refused in one line: both together would lose every key."""

    def meanwhile(key: WrappingKey) -> int:
        with pytest.raises(SettingsError, match="another process is replacing"):
            replace_wrapping_key(file, wrapped.root_keys.rewrap)
        return wrapped.root_keys.rewrap(key)

    assert replace_wrapping_key(file, meanwhile) == 3
    assert len(open_again(read_or_make_wrapping_key(file)).root_keys.all()) == 3


def test_a_file_that_cannot_be_replaced_changes_nothing(wrapped, file):
    """A new key that cannot be written encrypts nothing, and leaves the file as it was."""
    with no_room(), pytest.raises(SettingsError, match=r"cannot be replaced: .*File too large"):
        replace_wrapping_key(file, lambda _: pytest.fail("nothing may be encrypted"))
    assert len(words(file)) == 1
    assert list(file.parent.iterdir()) == [file]


def test_a_key_behind_a_link_is_replaced_there(wrapped, file, open_again, tmp_path):
    """A link goes on leading to the key that opens everything: made again, it loses nothing."""
    kept = tmp_path / "kept.key"
    file.rename(kept)
    file.symlink_to(kept)
    before = wrapped.root_keys.all()
    replace_wrapping_key(file, wrapped.root_keys.rewrap)
    assert file.readlink() == kept
    file.unlink()
    file.symlink_to(kept)
    assert open_again(read_or_make_wrapping_key(file)).root_keys.all() == before


def test_a_key_that_kubernetes_keeps_is_not_replaced(wrapped, file):
    """The kubelet would put the old key back: nothing is encrypted under another one."""
    version = file.parent / "..2026_01_01"
    version.mkdir()
    file.rename(version / file.name)
    (file.parent / "..data").symlink_to(version.name)
    file.symlink_to(f"..data/{file.name}")
    with pytest.raises(SettingsError, match=r"is kept by Kubernetes.*: change its Secret"):
        replace_wrapping_key(file, lambda _: pytest.fail("nothing may be encrypted"))
    assert len(words(version / file.name)) == 1


def test_a_key_in_a_pipe_is_not_replaced(wrapped, file):
    """A key that came through a pipe cannot be replaced: the new one would be lost with it."""
    reading, writing = os.pipe()
    with pytest.raises(SettingsError, match=f"/dev/fd/{writing} is no file"):
        replace_wrapping_key(Path(f"/dev/fd/{writing}"), lambda _: pytest.fail("nothing may be encrypted"))
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_an_old_key_that_cannot_be_dropped_is_said(wrapped, file):
    """The error says so when all is encrypted anew and the old key cannot be dropped."""
    link = file.with_name("link.key")
    link.symlink_to(file)

    def rewrap(key: WrappingKey) -> int:
        count = wrapped.root_keys.rewrap(key)
        link.unlink()
        link.symlink_to("missing/wrapping.key")
        return count

    with pytest.raises(SettingsError, match=r"all 3 keys are encrypted anew, but .*run key rewrap again"):
        replace_wrapping_key(link, rewrap)
    assert len(words(file)) == 2


def test_the_environment_holds_two_keys(wrapped, file, open_again):
    """From the environment: new and old key together open all, rewrap, and then the new one is enough."""
    [old] = words(file)
    new = wrapping_key_text(WrappingKey(bytes(range(32, 64))))
    before = wrapped.root_keys.all()
    both = wrapping_key_from_text(f"{new} {old}", "MACAROON_CBAT_WRAPPING_KEY")
    services = [open_again(both), open_again(both)]
    assert services[0].root_keys.rewrap(both) == 3
    assert services[1].root_keys.all() == before
    services[1].root_keys.rotate(NOW)
    alone = open_again(wrapping_key_from_text(new, "MACAROON_CBAT_WRAPPING_KEY"))
    assert [key.kid for key in alone.root_keys.all()] == [key.kid for key in services[1].root_keys.all()]


def test_a_rewrap_leaves_retired_keys(wrapped, file):
    """A retired key has no secret left, and a rewrap passes it by."""
    wrapped.root_keys.retire(wrapped.root_keys.records()[0].kid, NOW)
    assert replace_wrapping_key(file, wrapped.root_keys.rewrap) == 2
