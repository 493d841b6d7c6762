"""The SQLite database and the files beside it: for their owner alone, at every moment."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from macaroon_cbat.stores import Database
from macaroon_cbat.stores.upgrades import upgrade
from tests.support.databases import METADATA, NOW, opened, url_in

BESIDE = ["db.sqlite3", "db.sqlite3-shm", "db.sqlite3-wal"]


@pytest.fixture(params=[0, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in sorted(folder.iterdir())}


@pytest.mark.usefixtures("umask")
def test_the_files_are_made_private(tmp_path: Path):
    """Database, write-ahead log and shared memory have mode 0600, whatever the umask says."""
    stores = opened(url_in(tmp_path))
    stores.clients.add("billing", METADATA, secret="s" * 22, now=NOW)
    assert modes(tmp_path) == dict.fromkeys(BESIDE, 0o600)
    stores.database.close()


def test_the_files_are_never_open_to_others(tmp_path: Path):
    """While a database is made, no file in its folder has another mode for a moment."""
    seen, is_over = set(), threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            for name in (*BESIDE, "db.sqlite3-journal"):
                try:
                    seen.add((tmp_path / name).stat().st_mode & 0o777)
                except FileNotFoundError:
                    continue

    before, watcher = os.umask(0), threading.Thread(target=watch)
    watcher.start()
    try:
        opened(url_in(tmp_path)).database.close()
    finally:
        is_over.set()
        watcher.join()
        os.umask(before)
    assert seen == {0o600}


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o640, 0o660], ids=oct)
def test_looser_files_are_tightened(tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int):
    """Files of an existing database that others could use become their owner's alone, and the log says so."""
    first = opened(url_in(tmp_path))
    first.clients.add("billing", METADATA, secret="s" * 22, now=NOW)
    for name in BESIDE:
        (tmp_path / name).chmod(mode)
    caplog.clear()
    second = opened(url_in(tmp_path))
    assert [client.client_id for client in second.clients.all()] == ["billing"]
    assert modes(tmp_path) == dict.fromkeys(BESIDE, 0o600)
    assert [str(tmp_path / name) in caplog.text for name in BESIDE] == [True] * 3
    for stores in (first, second):
        stores.database.close()


def test_names_with_options_are_private_too(tmp_path: Path):
    """A database that is named as a file: URI, blanks and all, is made for its owner alone."""
    database = Database(f"sqlite:///file:{tmp_path}/my%20db.sqlite3?mode=rwc&uri=true")
    before = os.umask(0)
    try:
        upgrade(database)
    finally:
        os.umask(before)
    assert modes(tmp_path)["my db.sqlite3"] == 0o600
    database.close()


def test_reading_only_makes_nothing(tmp_path: Path):
    """A database that is opened for reading only is neither made nor changed."""
    database = Database(f"sqlite:///file:{tmp_path}/db.sqlite3?mode=ro&uri=true")
    with pytest.raises(Exception, match="unable to open"):
        upgrade(database)
    assert list(tmp_path.iterdir()) == []
    database.close()
