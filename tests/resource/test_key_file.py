import logging
import os
from pathlib import Path

import pytest
from flask import Flask

from macaroon_cbat import RootKey, audience_key
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.followed import LOOK_SECONDS
from macaroon_cbat.macaroon.keys import AudienceKeys, audience_keys, write_key_file
from macaroon_cbat.resource import KeyFile
from tests.support.guarded_app import bound, call, document, make_app
from tests.support.tokens import API, ISSUER, ROOT

NEW = RootKey("k2", b"n" * 32)
ROTATED = audience_keys(ISSUER, API, [ROOT, NEW])
NEW_TOKEN = bound(kid="k2", key=audience_key(NEW, API))


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(key_file: Path, clock: Clock) -> Flask:
    return make_app(keys=KeyFile(key_file, monotonic=clock))


def replace(path: Path, keys: AudienceKeys | bytes) -> None:
    """Replace the file whole, as `key export --output` does."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(keys if isinstance(keys, bytes) else write_key_file(keys))
    draft.chmod(0o600)
    draft.replace(path)


def statuses(app: Flask) -> list[int]:
    """Return how a token of the old and one of the new key fare."""
    return [call(app, text).status_code for text in (bound(), NEW_TOKEN)]


def test_a_token_that_is_known_goes_with_its_key(app: Flask, key_file: Path, clock: Clock):
    """A token that was admitted often is refused as soon as the file without its key is read."""
    text = bound()
    assert [call(app, text).status_code for _ in range(3)] == [200, 200, 200]
    replace(key_file, audience_keys(ISSUER, API, [NEW]))
    clock.now += LOOK_SECONDS
    assert [call(app, text).status_code for _ in range(2)] == [401, 401]


def test_a_replaced_file_is_followed_within_a_second(app: Flask, key_file: Path, clock: Clock):
    """A new key counts a second after it is in the file, and not by chance before."""
    assert statuses(app) == [200, 401]
    replace(key_file, ROTATED)
    clock.now += LOOK_SECONDS - 0.01
    assert statuses(app) == [200, 401]
    clock.now += 0.01
    assert statuses(app) == [200, 200]
    assert LOOK_SECONDS <= 1


def test_a_key_that_is_gone_verifies_nothing(app: Flask, key_file: Path, clock: Clock):
    """A key that the new file does not have is forgotten."""
    replace(key_file, audience_keys(ISSUER, API, [NEW]))
    clock.now += LOOK_SECONDS
    assert statuses(app) == [401, 200]


def test_a_file_written_in_place_is_followed(app: Flask, key_file: Path, clock: Clock):
    """`cat new > keys.json` overwrites the file, and is followed too."""
    with key_file.open("r+b") as file:
        file.truncate()
        file.write(write_key_file(ROTATED))
    clock.now += LOOK_SECONDS
    assert statuses(app) == [200, 200]


def test_a_copy_that_keeps_size_and_time_is_followed(app: Flask, key_file: Path, clock: Clock):
    """A file overwritten with as many bytes and the old modification time, as rsync may, is followed."""
    before, content = key_file.stat(), write_key_file(audience_keys(ISSUER, API, [NEW]))
    assert len(content) == before.st_size
    with key_file.open("r+b") as file:
        file.write(content)
    os.utime(key_file, ns=(before.st_atime_ns, before.st_mtime_ns))
    clock.now += LOOK_SECONDS
    assert statuses(app) == [401, 200]


DAMAGED = {
    "gone": None,
    "empty": b"",
    "cut in the middle": write_key_file(ROTATED)[:-40],
    "no key": b'{"issuer":"https://as.example","audience":"https://api.example","keys":[]}',
    "for another audience": write_key_file(audience_keys(ISSUER, "https://other.example", [ROOT, NEW])),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_replacement_keeps_the_old_keys(
    app: Flask, key_file: Path, clock: Clock, log: pytest.LogCaptureFixture, content: bytes | None
):
    """While the replacement is no key file of this audience the old keys stay, and one error says so."""
    key_file.unlink()
    if content is not None:
        replace(key_file, content)
    clock.now += LOOK_SECONDS
    assert statuses(app) == [200, 401]
    errors = [record.getMessage() for record in log.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert str(key_file) in errors[0]
    replace(key_file, ROTATED)
    clock.now += LOOK_SECONDS
    assert statuses(app) == [200, 200]


def test_an_error_that_stays_is_said_once(
    app: Flask, key_file: Path, clock: Clock, log: pytest.LogCaptureFixture
):
    """A file that stays away is one error in the log, not one a second."""
    key_file.unlink()
    for _ in range(5):
        clock.now += LOOK_SECONDS
        call(app, bound())
    assert [record.levelname for record in log.records] == ["ERROR"]


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o620, 0o602, 0o666, 0o650, 0o601], ids=oct)
def test_a_file_that_others_can_use_is_refused(key_file: Path, mode: int):
    """A key file that others can read, or its group can write, is refused with the command that mends it."""
    key_file.chmod(mode)
    with pytest.raises(SettingsError, match=rf"mode {mode:04o}.*chmod 600 {key_file}") as error:
        KeyFile(key_file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440], ids=oct)
def test_a_private_file_is_taken(key_file: Path, log: pytest.LogCaptureFixture, mode: int):
    """A key file that its owner alone can read is taken, and with a warning one that its group can read."""
    key_file.chmod(mode)
    assert KeyFile(key_file).audience == API
    assert ("can be read by the group" in log.text) == bool(mode & 0o040)


def test_a_folder_that_others_can_write_is_refused(key_file: Path):
    """A key file is refused where everybody could put another one in its place; a sticky folder is fine."""
    key_file.parent.chmod(0o777)
    with pytest.raises(SettingsError, match=rf"can be replaced by every user.*chmod go-w {key_file.parent}"):
        KeyFile(key_file)
    key_file.parent.chmod(0o1777)
    assert KeyFile(key_file).audience == API


def test_a_replacement_that_others_can_read_is_not_taken(
    app: Flask, key_file: Path, clock: Clock, log: pytest.LogCaptureFixture
):
    """A replacement with another mode changes nothing, and one error says why, until it is private."""
    replace(key_file, ROTATED)
    key_file.chmod(0o644)
    clock.now += LOOK_SECONDS
    assert statuses(app) == [200, 401]
    assert [r.levelname for r in log.records if "chmod 600" in r.getMessage()] == ["ERROR"]
    key_file.chmod(0o600)
    clock.now += LOOK_SECONDS
    assert statuses(app) == [200, 200]


def test_the_log_holds_no_key(app: Flask, key_file: Path, clock: Clock, log: pytest.LogCaptureFixture):
    """The log of a replacement names key ids, never a key; repr says no more."""
    replace(key_file, ROTATED)
    clock.now += LOOK_SECONDS
    call(app, bound())
    assert "k2" in log.text
    content = write_key_file(ROTATED).decode()
    secrets = [line.split('"')[3] for line in content.splitlines() if '"k"' in line]
    assert len(secrets) == 2
    assert not any(secret in log.text + repr(KeyFile(key_file)) for secret in secrets)


def test_the_metadata_follow_the_issuer(app: Flask, key_file: Path, clock: Clock):
    """The metadata document names another issuer when the file does."""
    replace(key_file, audience_keys("https://new.example", API, [ROOT]))
    clock.now += LOOK_SECONDS
    assert call(app, bound()).status_code == 200
    assert document(app)["authorization_servers"] == ["https://new.example"]
