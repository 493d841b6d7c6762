"""The key feed against the real service."""

import threading
import time
from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError, Unavailable, UnknownKey
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.keys import read_key_file
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.resource import KeyFeed, ServiceConnection
from macaroon_cbat.resource.feeds.key_feed import PAUSE_SECONDS
from tests.support.databases import grant
from tests.support.feeds import Feeding, copy_of
from tests.support.guarded_app import call, make_app
from tests.support.ports import free_port
from tests.support.service_process import API, Service
from tests.support.tls_servers import wait_until


def named(kid: str, aud: str = API):
    return grant(kid=kid, aud=aud)


def kid_of(token: str) -> str:
    return read_identifier(read_macaroon(token).identifier).kid


def dead(feeding: Feeding, **settings: object) -> KeyFeed:
    """Return a feed whose service is out of reach."""
    issuer = f"https://localhost:{free_port()}"
    return KeyFeed(feeding.connection(issuer=issuer), API, **settings)  # type: ignore[arg-type]


class Counted:
    """A connection that counts the requests for keys."""

    def __init__(self, connection: ServiceConnection) -> None:
        self.issuer, self._connection = connection.issuer, connection
        self.requests = 0

    def keys(self, audience: str) -> bytes:
        """Count, and ask."""
        self.requests += 1
        return self._connection.keys(audience)


def test_a_guard_with_a_feed_needs_no_key_file(feeding: Feeding):
    """The first token fetches the keys, and verifies with them."""
    app = make_app(keys=feeding.keys(), clock=time.time)
    assert call(app, feeding.token()).status_code == 200


def test_a_rotated_key_is_known_before_it_mints(feeding: Feeding):
    """The next key is there already, so a rotation costs no question."""
    feed = feeding.keys()
    feed.key_for(named(kid_of(feeding.token())))
    assert feed.key_for(named(feeding.rotate())).audience == API


def test_an_unknown_key_is_asked_for(feeding: Feeding):
    """A key that is not known here makes the feed ask, and verifies."""
    now = [0.0]
    feed = feeding.keys(monotonic=lambda: now[0])
    feed.key_for(named(kid_of(feeding.token())))
    feeding.rotate()
    twice = feeding.rotate()
    now[0] += PAUSE_SECONDS
    assert feed.key_for(named(twice)).kid == twice


def test_unknown_keys_are_asked_for_seldom(feeding: Feeding):
    """A flood of invented keys is refused without a flood of questions."""
    now, counted = [0.0], Counted(feeding.connection())
    feed = KeyFeed(counted, API, monotonic=lambda: now[0])  # type: ignore[arg-type]
    feed.key_for(named(kid_of(feeding.token())))
    now[0] += PAUSE_SECONDS
    for n in range(2000):
        with pytest.raises(UnknownKey):
            feed.key_for(named(f"invented-{n}"))
    assert counted.requests == 2


def test_another_audience_is_never_asked_for(feeding: Feeding):
    """A token for another audience is refused, whatever key it names."""
    feed = feeding.keys()
    with pytest.raises(UnknownKey, match=r"other\.example"):
        feed.key_for(named("x", "https://other.example"))


def test_keys_are_refreshed_beside_the_requests(feeding: Feeding):
    """A request goes on with the old keys when they are due, while the new ones come."""
    now = [0.0]
    feed = feeding.keys(monotonic=lambda: now[0])
    kid = kid_of(feeding.token())
    feed.key_for(named(kid))
    feeding.rotate()
    twice = feeding.rotate()
    now[0], before = 239.0, set(threading.enumerate())  # a feed of an earlier test may still ask
    feed.key_for(named(kid))
    assert "key-feed" not in {thread.name for thread in set(threading.enumerate()) - before}
    assert twice not in feed.kids
    now[0] = 241.0
    feed.key_for(named(kid))
    wait_until(lambda: twice in feed.kids)


def test_without_service_or_snapshot_is_unavailable(feeding: Feeding):
    """Before the first keys a token is neither good nor bad: 503."""
    feed = dead(feeding)
    with pytest.raises(Unavailable):
        feed.key_for(named("x"))
    app = make_app(keys=feed, clock=time.time)
    assert call(app, feeding.token()).status_code == 503


def test_a_restart_does_not_need_the_service(feeding: Feeding, tmp_path: Path):
    """The snapshot, a private key file, is enough for the next start; an unknown key is then 503."""
    file = tmp_path / "keys.json"
    (tmp_path / "data").mkdir()
    alone = Feeding(Service(tmp_path / "data", free_port()), feeding.holder, {})
    with alone.service.running():
        alone.register()
        token = alone.token()
        alone.keys(snapshot=file).key_for(named(kid_of(token)))
    assert file.stat().st_mode & 0o777 == 0o600
    assert kid_of(token) in read_key_file(file.read_bytes()).keys
    again = alone.keys(snapshot=file)
    assert call(make_app(keys=again, clock=time.time), token).status_code == 200
    with pytest.raises(Unavailable):
        again.key_for(named("x"))


def test_a_foreign_snapshot_is_refused(feeding: Feeding, tmp_path: Path):
    """A snapshot of another audience, a damaged or a public one, or no folder: one line at start-up."""
    file = tmp_path / "keys.json"
    feeding.keys(snapshot=file).key_for(named(kid_of(feeding.token())))
    with pytest.raises(SettingsError, match="another snapshot"):
        feeding.keys("elsewhere", audience="https://other.example", snapshot=file)
    damaged = copy_of(file, tmp_path / "damaged.json")
    damaged.write_text("{}")
    with pytest.raises(SettingsError, match="not a key file"):
        feeding.keys(snapshot=damaged)
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        feeding.keys(snapshot=file)
    with pytest.raises(SettingsError, match="make the folder"):
        feeding.keys(snapshot=tmp_path / "none" / "keys.json")


def test_a_snapshot_that_cannot_be_written_is_no_refusal(feeding: Feeding, tmp_path: Path, log):
    """The log says that the snapshot cannot be written, and tokens pass."""
    folder = tmp_path / "folder"
    folder.mkdir()
    feed = feeding.keys(snapshot=folder / "keys.json")
    folder.rmdir()
    feed.key_for(named(kid_of(feeding.token())))
    assert "cannot be written" in log.text


def test_a_refusing_service_is_said_once(feeding: Feeding, log):
    """A resource server without the audience's registration has no keys, and its log says why."""
    feed = feeding.keys("elsewhere")
    for _ in range(3):
        with pytest.raises(Unavailable):
            feed.key_for(named("x"))
    assert log.text.count("access_denied") == 1
