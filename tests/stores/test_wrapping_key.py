import base64
import os
from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.stores import WrappingKey, read_or_make_wrapping_key, wrapping_key_from_text

KEY = WrappingKey(bytes(range(32)))
TEXT = base64.urlsafe_b64encode(KEY.secret).decode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "wrapping.key"


def test_the_key_is_made_for_its_owner_alone(file):
    """A new wrapping key has 32 random bytes, and only its owner may read it, whatever the umask says."""
    before = os.umask(0)
    try:
        made = read_or_make_wrapping_key(file)
    finally:
        os.umask(before)
    assert len(made.secret) == 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert made != read_or_make_wrapping_key(file.with_name("other.key"))


def test_the_key_is_made_once(file):
    """An existing wrapping key is read, not made again, and nothing else is left in the folder."""
    assert read_or_make_wrapping_key(file) == read_or_make_wrapping_key(file)
    assert list(file.parent.iterdir()) == [file]


def test_processes_make_one_key(racers, tmp_path):
    """Processes that start at the same moment agree on one wrapping key, and leave no drafts."""
    for turn in range(25):
        folder = tmp_path / str(turn)
        secrets = racers.race("make a wrapping key", str(folder))
        assert secrets == [secrets[0]] * 4
        assert len(secrets[0]) == 32
        assert [file.name for file in folder.iterdir()] == ["wrapping.key"]


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o660, 0o644, 0o610, 0o601], ids=oct)
def test_a_key_that_others_may_touch_is_refused(file, mode):
    """A wrapping key that all users may read, or its group may write or run, is refused, with the remedy."""
    read_or_make_wrapping_key(file)
    file.chmod(mode)
    with pytest.raises(SettingsError, match=rf"can be used by others \(mode {mode:04o}\): chmod 600 {file}"):
        read_or_make_wrapping_key(file)


def test_a_folder_is_no_key(file):
    """A folder in the place of the wrapping key is named in plain words."""
    file.mkdir()
    with pytest.raises(SettingsError, match=rf"key {file} cannot be read \(Is a directory\): name its file"):
        read_or_make_wrapping_key(file)


def test_a_link_to_nowhere_is_said(file):
    """A link whose key is missing is named: another key behind it would open nothing that is stored."""
    file.symlink_to("mounted/wrapping.key")
    with pytest.raises(
        SettingsError, match=r"link to mounted/wrapping\.key, which is missing: put the key there"
    ):
        read_or_make_wrapping_key(file)
    assert [one.name for one in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(TEXT[:42].encode(), id="too short"),
        pytest.param(TEXT[:43].encode() + b"A", id="too long"),
        pytest.param(base64.b64encode(b"\xff" * 32), id="of the other alphabet"),
        pytest.param(KEY.secret.hex().encode(), id="hex"),
        pytest.param(b"\xff\xfe" * 20, id="no text"),
    ],
)
def test_a_damaged_key_is_refused(file, content):
    """A file that does not hold a wrapping key is a SettingsError in one line that names it."""
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(SettingsError, match=str(file)) as refused:
        read_or_make_wrapping_key(file)
    assert "\n" not in str(refused.value)


def test_a_key_that_cannot_be_made_is_refused(tmp_path):
    """A wrapping key that can be neither read nor made is a SettingsError that names it."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"wrapping\.key cannot be made"):
        read_or_make_wrapping_key(tmp_path / "file" / "wrapping.key")
    (tmp_path / "wrapping.key").mkdir(mode=0o700)
    with pytest.raises(SettingsError, match=r"wrapping\.key cannot be read"):
        read_or_make_wrapping_key(tmp_path / "wrapping.key")


@pytest.mark.parametrize("text", [TEXT, TEXT.rstrip("="), f" {TEXT}\n"], ids=["padded", "plain", "spaced"])
def test_the_key_may_come_as_text(text):
    """A wrapping key is 32 bytes of base64url, padded or not, white space around it not counting."""
    assert wrapping_key_from_text(text, "X") == KEY


def test_text_that_is_no_key_is_refused():
    """Text that is no wrapping key is a SettingsError that names the setting and never quotes the text."""
    with pytest.raises(SettingsError, match="MACAROON_CBAT_WRAPPING_KEY must be 32 bytes") as refused:
        wrapping_key_from_text("hunter2", "MACAROON_CBAT_WRAPPING_KEY")
    assert "hunter2" not in str(refused.value)


def test_what_is_wrapped_unwraps():
    """A wrapped root key unwraps under the same name, and every wrapping is another."""
    wrapped = KEY.wrap("k1", b"s" * 32)
    assert KEY.unwrap("k1", wrapped) == b"s" * 32
    assert KEY.wrap("k1", b"s" * 32) != wrapped
    assert b"s" * 8 not in wrapped


@pytest.mark.parametrize(
    ("key", "kid", "damage"),
    [
        pytest.param(WrappingKey(bytes(32)), "k1", 0, id="under another key"),
        pytest.param(KEY, "k2", 0, id="under the name of another root key"),
        pytest.param(KEY, "k1", 1, id="changed by a bit"),
    ],
)
def test_what_is_not_wrapped_so_does_not_unwrap(key, kid, damage):
    """A root key that was wrapped otherwise, or changed since, never unwraps."""
    wrapped = bytearray(KEY.wrap("k1", b"s" * 32))
    wrapped[-1] ^= damage
    with pytest.raises(SettingsError, match="cannot be decrypted"):
        key.unwrap(kid, bytes(wrapped))


@pytest.mark.parametrize("length", [0, 5, 12, 20])
def test_what_is_cut_short_does_not_unwrap(length):
    """A stored root key of any length is a SettingsError at worst."""
    with pytest.raises(SettingsError, match="cannot be decrypted"):
        KEY.unwrap("k1", KEY.wrap("k1", b"s" * 32)[:length])


def test_the_key_does_not_print():
    """A wrapping key never shows itself."""
    assert repr(KEY) == "<WrappingKey>"
