"""A volume with `fsGroup`, as the kubelet makes it: the service starts again and again, and stays private."""

import os
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from macaroon_cbat import stores
from macaroon_cbat.cli.greeting import Greeting
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.resource.key_file import KeyFile
from macaroon_cbat.service import settings_from_environment
from macaroon_cbat.stores import open_stores
from macaroon_cbat.tls import development_certificates
from tests.support.another_user import KEYS, NO_ID, acl, as_user, private
from tests.support.tokens import API

USER, FS_GROUP = 10_001, 20_001
NOW = EpochSeconds(1_767_222_000)
MIGRATIONS = Path(stores.__file__).with_name("migrations")
"""The folder is read when a database is made."""


def mount(volume: Path, group: int) -> None:
    """Do with everything on the volume what the kubelet does before each start for `fsGroup`."""
    for path in (volume, *volume.rglob("*")):
        os.chown(path, -1, group, follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o7777 | (0o2770 if path.is_dir() else 0o660))


def start(data: Path) -> Callable[[], str]:
    """Return what `serve` does before it listens: wrapping key, database and development certificate."""

    def started() -> str:
        settings = settings_from_environment({"MACAROON_CBAT_DATA": str(data)})
        stores = open_stores(settings.database_url, settings.wrapping_key, NOW)
        development_certificates(data)
        kids = " ".join(record.kid for record in stores.root_keys.records())
        stores.database.close()
        return kids

    return started


@pytest.fixture
def volume(place: Path) -> Path:
    volume = place / "volume"
    volume.mkdir()
    volume.chmod(0o755)
    start(place / "before")()  # imports what the other user perhaps cannot read
    closed = [str(above) for above in MIGRATIONS.parents if not above.stat().st_mode & 0o001]
    assert not closed, f"the other user cannot read the migrations: chmod o+x {' '.join(closed)}"
    return volume


@pytest.mark.parametrize("below", [".", "data"], ids=["the volume", "a folder on it"])
def test_the_service_starts_again(volume: Path, below: str):
    """The second start finds folders and files that `fsGroup` may write, and the keys of the first one."""
    mount(volume, FS_GROUP)
    first = as_user(USER, 0, start(volume / below), also=[FS_GROUP])
    mount(volume, FS_GROUP)
    assert (volume / below / "wrapping.key").stat().st_mode & 0o7777 == 0o660
    second = as_user(USER, 0, start(volume / below), also=[FS_GROUP])
    assert len(first.split()) == 2
    assert second == first


def test_a_user_without_a_home_is_told_what_to_type(volume: Path):
    """A user that the image does not know has no home, and `serve` says what comes next all the same."""

    def said() -> str:
        os.environ.pop("HOME", None)
        with redirect_stdout(StringIO()) as output:
            Greeting(
                issuer="https://localhost:8443",
                workers=1,
                threads=8,
                places=["https://127.0.0.1:8443"],
                data=volume,
                certificate=volume / "server.pem",
                ca=volume / "ca.pem",
            ).say(None)
        return output.getvalue()

    assert f'client add trial --scope "read write" --audience https://api.example --data {volume}' in as_user(
        USER, 0, said
    )


def test_a_process_outside_the_group_does_not_start(volume: Path):
    """A group that may write and that this process is not in is another's: it is refused."""
    mount(volume, FS_GROUP)
    as_user(USER, 0, start(volume), also=[FS_GROUP])
    assert f"the group {FS_GROUP} (mode 2775 of {volume}): chmod g-w" in as_user(USER, 0, start(volume))


def test_a_group_that_others_may_be_in_is_refused(volume: Path):
    """A group that the machine knows has members, or may have tomorrow: no number alone makes it ours."""
    mount(volume, 100)
    assert f"the group 100 (mode 2775 of {volume}): chmod g-w" in as_user(USER, 0, start(volume), also=[100])


def test_a_list_for_another_group_is_refused(volume: Path):
    """An access control list that lets a further group write makes the group's bits more than `fsGroup`'s."""
    mount(volume, FS_GROUP)
    every = acl((1, 7, NO_ID), (4, 7, NO_ID), (8, 7, 100), (16, 7, NO_ID), (32, 5, NO_ID))
    os.setxattr(volume, "system.posix_acl_access", every)
    assert f"the group {FS_GROUP} (mode" in as_user(USER, 0, start(volume), also=[FS_GROUP])


def test_a_file_that_all_can_read_is_refused(volume: Path):
    """Access that is forgiven the group of `fsGroup` is forgiven no other user."""
    mount(volume, FS_GROUP)
    as_user(USER, 0, start(volume), also=[FS_GROUP])
    mount(volume, FS_GROUP)
    (volume / "wrapping.key").chmod(0o664)
    assert "can be used by others (mode 0664)" in as_user(USER, 0, start(volume), also=[FS_GROUP])


@pytest.mark.parametrize("mode", [0o660, 0o640, 0o440], ids=oct)
def test_a_file_of_the_group_is_taken(place: Path, mode: int):
    """A private file that only `fsGroup` can use is taken; outside it, none that it can write is."""
    file = private(place / "keys.json", KEYS)
    os.chown(file, USER, FS_GROUP)
    file.chmod(mode)
    assert as_user(USER, 0, lambda: KeyFile(file).audience, also=[FS_GROUP]) == API
    outside = as_user(USER, 0, lambda: KeyFile(file).audience)
    assert outside == API if mode != 0o660 else "can be used by others (mode 0660)" in outside


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [(0o444, "can be used by others (mode 0444): "), (0o440, API)],
    ids=["0444", "0440"],
)
def test_a_secret_of_roots_stays_readable(place: Path, mode: int, outcome: str):
    """A secret that root mounts for all to read is refused with a remedy that leaves it readable here."""
    file = private(place / "keys.json", KEYS)
    os.chown(file, 0, FS_GROUP)
    file.chmod(mode)
    said = as_user(USER, 0, lambda: KeyFile(file).audience, also=[FS_GROUP])
    assert outcome in said
    assert ("defaultMode: 0400" in said) == (mode == 0o444)
    assert f": chmod 600 {file}" not in said
