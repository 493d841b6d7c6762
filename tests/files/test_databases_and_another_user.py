"""Another user of the machine attacks the SQLite database; root alone can play both parts."""

import os
from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError
from tests.support.another_user import ANOTHER_USER, act_as_another, private
from tests.support.databases import METADATA, NOW, opened, url_in


def test_a_database_of_another_user_is_refused(place: Path):
    """A database that another user put in the place of ours is refused, and not made ours by a chmod."""
    folder = place / "data"
    folder.mkdir()
    stores = opened(url_in(folder))
    stores.clients.add("billing", METADATA, secret="s" * 22, now=NOW)
    stores.database.close()
    [name] = [file.name for file in folder.iterdir()]
    folder.chmod(0o777)
    (folder / name).chmod(0o644)
    act_as_another(f"umask 022; cp {name} x; mv {name} old; mv x {name}", folder=folder)
    with pytest.raises(SettingsError, match=f"replaced by every user .*chmod go-w {folder}"):
        opened(url_in(folder))
    folder.chmod(0o700)
    with pytest.raises(SettingsError, match=r"belongs to another user \(uid 65534\)"):
        opened(url_in(folder))
    assert (folder / name).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_a_file_of_another_user_beside_the_database_is_refused(place: Path, suffix: str):
    """A log or journal of another user, which SQLite would play into the database, is refused."""
    opened(url_in(place)).database.close()
    [database] = place.iterdir()
    beside = private(place / (database.name + suffix), b"")
    os.chown(beside, ANOTHER_USER, ANOTHER_USER)
    with pytest.raises(SettingsError, match=rf"{suffix} belongs to another user"):
        opened(url_in(place))


@pytest.mark.parametrize("mode", [0o770, 0o2775], ids=oct)
def test_a_database_in_a_folder_of_a_group_is_refused(place: Path, mode: int):
    """A group that can write a folder on the way to the database makes it refused; above, sticky is fine."""
    volume = place / "volume"
    (volume / "data").mkdir(parents=True)
    os.chown(volume, 0, 2000)
    volume.chmod(mode)
    for folder in (volume, volume / "data"):
        with pytest.raises(SettingsError, match=f"the group 2000 .*chmod g-w {volume}"):
            opened(url_in(folder))
        assert not list(folder.glob("*.sqlite3*"))
    volume.chmod(mode | 0o1000)
    opened(url_in(volume / "data")).database.close()


@pytest.mark.parametrize("mode", ["rwc", "ro"])
def test_a_database_by_uri_is_looked_at_too(place: Path, mode: str):
    """A database named as a file: URI, for reading only too, is refused in a folder that all can write."""
    opened(url_in(place)).database.close()
    [file] = place.iterdir()
    place.chmod(0o777)
    with pytest.raises(SettingsError, match=f"chmod go-w {place}"):
        opened(f"sqlite:///file:{file}?mode={mode}&uri=true")


def test_a_database_in_a_sticky_folder_is_refused(place: Path):
    """The sticky bit is not enough: others could make the files beside the database before SQLite does."""
    place.chmod(0o1777)
    with pytest.raises(SettingsError, match=r"every user .*or keep it in a folder"):
        opened(url_in(place))
    (place / "data").mkdir(mode=0o700)
    opened(url_in(place / "data")).database.close()


def test_the_folder_behind_a_link_to_the_database_counts(place: Path):
    """A link to a database in a folder that others can write is refused, before anything is made there."""
    (place / "shared").mkdir()
    (place / "shared").chmod(0o1777)
    (place / "db.sqlite3").symlink_to(place / "shared/real.db")
    with pytest.raises(SettingsError, match=f"chmod go-w {place}/shared"):
        opened(url_in(place))
    assert list((place / "shared").iterdir()) == []
