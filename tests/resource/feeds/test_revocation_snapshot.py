"""The snapshot of the revocations: a restart reads on from it, and never takes it for what is so now."""

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.revocation import KEPT_LONGER_SECONDS, Revocation, Revocations
from macaroon_cbat.resource import RevocationFeed, ServiceConnection
from macaroon_cbat.resource.feeds.revocation_snapshot import RevocationSnapshot
from tests.support.feeds import Feeding, copy_of, slowly
from tests.support.guarded_app import call, make_app
from tests.support.tls_servers import wait_until

HEAD = '{"v":1,"issuer":"https://as.example","cursor":"AAAAAAAAAAAAAAAA.7"}\n'
ROW = '["client","mallory",1767222000,4000000000]\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "revocations.jsonl"


class Listened:
    """A connection that remembers from where it was asked to read on."""

    def __init__(self, connection: ServiceConnection) -> None:
        self.issuer, self._connection = connection.issuer, connection
        self.cursors: list[str] = []

    def revocations(self, after: str, wait: int) -> bytes:
        """Ask, and remember."""
        self.cursors.append(after)
        return self._connection.revocations(after, wait)

    def stream(self, after: str, wait: int) -> Iterator[bytes]:
        """Ask for a stream, and remember."""
        self.cursors.append(after)
        yield from self._connection.stream(after, wait)


def loaded(alone: Feeding, file: Path, count: int) -> str:
    """Follow until so many are known and kept; return the cursor at which they were."""
    feed = alone.revocations(snapshot=file)
    wait_until(lambda: len(feed.current()) == count)
    wait_until(file.exists)
    feed.stop()
    cursor: str = json.loads(file.read_text().splitlines()[0])["cursor"]
    return cursor


def names(feed: RevocationFeed) -> set[str]:
    return {one.value for one in feed.current()}


def test_a_restart_reads_on(alone: Feeding, file: Path):
    """A new feed asks from where the last one was, and knows what was revoked before and since."""
    with alone.service.running():
        for name in ("one", "two"):
            alone.revoke("client", name)
        cursor = loaded(alone, file, 2)
        assert file.stat().st_mode & 0o777 == 0o600
        alone.revoke("subject", "three")
        listened = Listened(alone.connection())
        feed = RevocationFeed(listened, snapshot=file, monotonic=slowly)  # type: ignore[arg-type]
        assert names(feed) == {"one", "two", "three"}
        assert listened.cursors[0] == cursor != "0"
        feed.stop()


def test_a_snapshot_is_never_current(alone: Feeding, file: Path):
    """Until the service has answered, a feed with a snapshot knows nothing: 503, and not what was."""
    with alone.service.running():
        alone.revoke("client", "one")
        loaded(alone, file, 1)
        token, keys = alone.token(), alone.keys()
        assert call(make_app(keys=keys, clock=time.time), token).status_code == 200
    feed = alone.revocations(snapshot=file, monotonic=time.monotonic)
    with pytest.raises(Unavailable, match="never loaded"):
        feed.current()
    app = make_app(keys=keys, revocations=feed, clock=time.time)
    assert call(app, token).status_code == 503
    with alone.service.running():
        wait_until(lambda: call(app, token).status_code == 200)
    feed.stop()


def test_another_database_lifts_no_revocation(alone: Feeding, file: Path):
    """The revocations of a snapshot stand when the service refuses its cursor: it may have lost them."""
    with alone.service.running():
        alone.revoke("client", "old")
        loaded(alone, file, 1)
    (alone.service.data / "macaroon_cbat.sqlite3").unlink()
    for left in ("-wal", "-shm"):
        (alone.service.data / f"macaroon_cbat.sqlite3{left}").unlink(missing_ok=True)
    alone.register()
    alone.revoke("client", "new")
    with alone.service.running():
        feed = alone.revocations(snapshot=file)
        feed.start()
        wait_until(lambda: feed.age() < math.inf)
        assert names(feed) == {"old", "new"}
        feed.stop()


def test_what_has_expired_is_not_read_on(alone: Feeding, file: Path):
    """Decisions that expired since the snapshot was written are dropped."""
    with alone.service.running():
        alone.revoke("client", "lives")
        cursor = loaded(alone, file, 1)
        head, row, _ = file.read_text().splitlines()
        old = json.dumps(["client", "expired", 1, 2], separators=(",", ":"))
        file.write_text("\n".join([head, row, old, '{"count":2}', ""]))
        listened = Listened(alone.connection())
        feed = RevocationFeed(listened, snapshot=file, monotonic=slowly)  # type: ignore[arg-type]
        assert names(feed) == {"lives"}
        assert listened.cursors[0] == cursor
        feed.stop()


def test_every_kind_comes_back(file: Path):
    """The revocations kept are those loaded, of every kind and with both moments where they matter."""
    decisions = [
        Revocation(kind=kind, value=f'{kind} "é\\', revoked_at=5, expires_at=9 + n)
        for n, kind in enumerate(("token", "client", "subject", "family", "key", "certificate"))
        for _ in range(2)
    ]
    known = Revocations(decisions)
    RevocationSnapshot(file, "https://as.example", lambda: 1.0).keep("cursor", known)
    wait_until(file.exists)
    cursor, again = RevocationSnapshot(file, "https://as.example", lambda: 1.0).load()
    assert cursor == "cursor"
    assert set(again) == set(known)
    assert {(one.value, one.revoked_at) for one in again if one.kind in ("client", "subject")} == {
        ('client "é\\', 5),
        ('subject "é\\', 5),
    }


def test_what_comes_meanwhile_is_not_in_it(file: Path):
    """While the file is being written the feed goes on; the file has what was known at its cursor, whole."""
    known = Revocations(
        Revocation(kind="token", value=f"{n:022}", revoked_at=5, expires_at=9) for n in range(100_000)
    )
    snapshot = RevocationSnapshot(file, "https://as.example", lambda: 1.0)
    snapshot.keep("cursor", known)
    for n in range(1000):
        known.apply(Revocation(kind="token", value=f"later {n}", revoked_at=5, expires_at=11))
    known.forget(EpochSeconds(10 + KEPT_LONGER_SECONDS))
    wait_until(file.exists)
    _, again = RevocationSnapshot(file, "https://as.example", lambda: 1.0).load()
    assert (len(again), len(known)) == (100_000, 1000)
    assert "later 0" not in {one.value for one in again}


def test_it_is_written_seldom(file: Path):
    """A file is written when the cursor has moved, and no sooner than its time."""
    now = [1000.0]
    snapshot = RevocationSnapshot(file, "https://as.example", lambda: now[0])

    def kept(cursor: str) -> str:
        snapshot.keep(cursor, Revocations())
        wait_until(lambda: not snapshot.is_busy)
        return str(json.loads(file.read_text().splitlines()[0])["cursor"])

    assert kept("a") == "a"
    now[0] += 599
    assert kept("b") == "a"
    now[0] += 1
    assert kept("b") == "b"
    file.unlink()
    now[0] += 600
    snapshot.keep("b", Revocations())
    assert not file.exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}\n",
        HEAD,
        HEAD + ROW,
        HEAD + ROW + '{"count":2}\n',
        HEAD + ROW[:-9],
        HEAD + ROW + '{"count":1}\n' + ROW,
        HEAD + '["everything","x",1,2]\n{"count":1}\n',
        HEAD + '["client","x","1",2]\n{"count":1}\n',
        HEAD.replace('"v":1', '"v":2') + '{"count":0}\n',
        HEAD.replace("}", ',"more":1}') + '{"count":0}\n',
        "\x00\x01",
    ],
    ids=repr,
)
def test_a_damaged_snapshot_is_said(file: Path, content: str):
    """A file that is not whole, or of another kind, is one line that says what to do."""
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(SettingsError, match="remove it"):
        RevocationSnapshot(file, "https://as.example", lambda: 1.0).load()


def test_a_foreign_snapshot_is_refused(feeding: Feeding, file: Path, tmp_path: Path):
    """A snapshot of another service, one that others can read, and no folder: one line at start-up."""
    file.write_text(HEAD + '{"count":0}\n')
    file.chmod(0o600)
    with pytest.raises(SettingsError, match="another snapshot"):
        feeding.revocations(snapshot=file)
    public = copy_of(file, tmp_path / "public")
    public.chmod(0o604)
    with pytest.raises(SettingsError, match="chmod 600"):
        feeding.revocations(snapshot=public)
    with pytest.raises(SettingsError, match="make the folder"):
        feeding.revocations(snapshot=tmp_path / "none" / "revocations")


def test_a_snapshot_that_cannot_be_written_is_no_outage(feeding: Feeding, tmp_path: Path, log):
    """The log says that the file cannot be written, and the feed goes on."""
    folder = tmp_path / "folder"
    folder.mkdir()
    feed = feeding.revocations(snapshot=folder / "revocations")
    folder.rmdir()
    feed.current()
    wait_until(lambda: "cannot be written" in log.text)
    feed.current()
    feed.stop()
