"""The revocation feed against the real service."""

import itertools
import os
import threading
import time
from pathlib import Path

import pytest

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.macaroon.identifier import Grant, read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.resource import Introspection, RevocationFeed
from macaroon_cbat.resource.blocking import MustBlock, NeverBlocking
from macaroon_cbat.resource.verifier import OfflineVerifier
from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.feeds import Feeding, slowly
from tests.support.guarded_app import CERTIFICATE, bound, call, make_app
from tests.support.service_process import API, Service
from tests.support.tls_servers import wait_until
from tests.support.tokens import KEYS


@pytest.fixture
def feed(feeding: Feeding):
    feed = feeding.revocations()
    yield feed
    feed.stop()


def grant_of(token: str) -> Grant:
    return read_identifier(read_macaroon(token).identifier)


def test_a_revoked_token_is_refused(feeding: Feeding, feed: RevocationFeed):
    """A guard with a feed refuses a revoked token, and the others go on."""
    app = make_app(keys=feeding.keys(), revocations=feed, clock=time.time)
    token, other = feeding.token(), feeding.token()
    assert call(app, token).status_code == 200
    feeding.revoke("token", grant_of(token).jti)
    wait_until(lambda: call(app, token).status_code == 401)
    assert call(app, other).status_code == 200


@pytest.mark.parametrize("kind", ["client", "subject", "key"])
def test_every_kind_is_followed(feeding: Feeding, feed: RevocationFeed, kind: str):
    """Client, subject and key are taken back as tokens are."""
    app = make_app(keys=feeding.keys(), revocations=feed, clock=time.time)
    token = feeding.token()
    if kind == "key":
        feeding.rotate()
    assert call(app, token).status_code == 200
    grant = grant_of(token)
    feeding.revoke(kind, {"client": grant.client_id, "subject": grant.sub, "key": grant.kid}[kind])
    wait_until(lambda: call(app, token).status_code == 401)
    wait_until(lambda: call(app, feeding.token()).status_code == 200)  # those of the same second are revoked


def test_a_revoked_certificate_lets_no_token_pass(alone: Feeding):
    """Even an unbound token is refused over a connection with a revoked certificate."""
    with alone.service.running():
        feed = alone.revocations()
        app = make_app(keys=alone.keys(), revocations=feed, require_certificate=False, clock=time.time)
        token = alone.service.client("billing", alone.secrets["billing"], resource=API)()
        assert call(app, token).status_code == 200
        alone.revoke("certificate", thumbprint_of(DerCertificate(CERTIFICATE)))
        wait_until(lambda: call(app, token).status_code == 401)
        assert call(app, token, certificate=b"another").status_code == 200
        feed.stop()


def test_the_first_revocations_are_waited_for(feeding: Feeding, monkeypatch: pytest.MonkeyPatch):
    """The first request of a process waits for the revocations that are under way, and does not fail."""
    connection, may_answer = feeding.connection(), threading.Event()
    revocations = connection.revocations

    def late(after: str, wait: int) -> bytes:
        assert may_answer.wait(60)
        return revocations(after, wait)

    monkeypatch.setattr(connection, "revocations", late)
    ticks = itertools.count(0, 0.001)  # a clock that stands still while it is not looked at
    feed = RevocationFeed(connection, monotonic=lambda: next(ticks))
    feed.start()
    with NeverBlocking(), pytest.raises(MustBlock):
        feed.current()
    may_answer.set()
    assert feed.current().reason(grant_of(feeding.token()), None) is None
    feed.stop()


def test_a_stopped_feed_says_nothing(feeding: Feeding, monkeypatch: pytest.MonkeyPatch, log):
    """The last question of a feed that was stopped may fail: none follows, and no line tells of it."""
    connection, may_fail = feeding.connection(), threading.Event()

    def failing(_after: str, _wait: int) -> bytes:
        assert may_fail.wait(60)
        raise Unavailable("the service has ended meanwhile")

    monkeypatch.setattr(connection, "revocations", failing)
    feed, before = RevocationFeed(connection), set(threading.enumerate())
    feed.start()
    [thread] = {one for one in threading.enumerate() if one.name == "revocations"} - before
    feed.stop()
    may_fail.set()
    thread.join(60)
    assert "the service has ended meanwhile" not in log.text


def test_never_loaded_is_503(alone: Feeding):
    """Without a service a feed never says that nothing is revoked."""
    feed = alone.revocations(monotonic=time.monotonic)
    with pytest.raises(Unavailable, match="never loaded"):
        feed.current()
    following = RevocationFeed(alone.connection(issuer=KEYS.issuer))
    assert call(make_app(keys=KEYS, revocations=following), bound()).status_code == 503
    following.stop()
    feed.stop()


def test_stale_is_503_until_it_is_current_again(alone: Feeding):
    """Without its service the feed is believed for max_staleness and then not, until the service is back."""
    now = [1000.0]
    feed = alone.revocations(max_staleness=2, monotonic=lambda: now[0])
    with alone.service.running():
        token = alone.token()
        app = make_app(keys=alone.keys(), revocations=feed, clock=time.time)
        assert call(app, token).status_code == 200
    now[0] += 2
    assert call(app, token).status_code == 200
    now[0] += 0.1
    assert call(app, token).status_code == 503
    alone.revoke("token", grant_of(token).jti)
    with alone.service.running():
        wait_until(lambda: call(app, token).status_code != 503)
        assert call(app, token).status_code == 401, (
            "what was revoked meanwhile counts from the first answer on"
        )
    feed.stop()


def test_a_stale_feed_may_ask_instead(alone: Feeding):
    """With `when_stale` a token is introspected while the feed is stale, and never just accepted."""
    secret = alone.service.add("asking", "--serves", API, "--understands-caveats")
    asking = Introspection(alone.service.issuer, API, "asking", secret, ca=alone.service.ca)
    with alone.service.running():
        token = alone.token()
        keys = alone.keys()
        feed = alone.revocations("reporting", monotonic=time.monotonic)
        app = make_app(keys=keys, revocations=feed, when_stale=asking, clock=time.time)
        assert call(app, token).status_code == 200
        alone.revoke("token", grant_of(token).jti)
        assert call(app, token).status_code == 401
    assert call(app, token).status_code == 503


def test_another_database_is_read_anew(alone: Feeding, tmp_path: Path):
    """The feed begins again when the service starts on another database, and lifts no revocation."""
    other = Service(tmp_path / "other", alone.service.port)
    development_certificates(other.data)
    anew = Feeding(other, alone.holder, {})
    anew.register()
    alone.secrets.update(anew.secrets)
    feed = RevocationFeed(anew.connection("certified", ca=_both(alone, anew, tmp_path)), monotonic=slowly)
    with alone.service.running():
        alone.revoke("client", "old")
        wait_until(lambda: len(feed.current()) == 1)
    anew.revoke("client", "one")
    anew.revoke("client", "two")
    with anew.service.running():
        wait_until(lambda: names(feed) == {"old", "one", "two"})
    feed.stop()


def _both(alone: Feeding, anew: Feeding, folder: Path) -> Path:
    """Return a bundle of the development CAs of both services."""
    bundle = folder / "both.pem"
    bundle.write_bytes(alone.service.ca.read_bytes() + anew.service.ca.read_bytes())
    return bundle


def names(feed: RevocationFeed) -> set[str]:
    """Return the names of everything that is revoked."""
    return {one.value for one in feed.current()}


def test_a_forked_child_follows_by_itself(feeding: Feeding, feed: RevocationFeed):
    """A child of a process that follows already starts a thread of its own."""
    feed.current()
    child = os.fork()
    if child == 0:
        try:
            feeding.revoke("client", "seen-by-the-child")
            wait_until(lambda: "seen-by-the-child" in names(feed))
        except BaseException:  # noqa: BLE001 # it must not return into pytest
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    wait_until(lambda: "seen-by-the-child" in names(feed))


def test_a_stopped_feed_starts_again(feeding: Feeding, feed: RevocationFeed):
    """A feed can be stopped, and the next question starts it."""
    before = len(feed.current())
    feed.stop()
    feeding.revoke("client", "while-stopped")
    wait_until(lambda: len(feed.current()) == before + 1)


def test_unusable_settings_are_said_at_once(feeding: Feeding):
    """There is no accepting of what is stale, and no feed of another service than the keys'."""
    with pytest.raises(SettingsError):
        feeding.revocations(max_staleness=0)
    with pytest.raises(SettingsError, match="do not go with keys of"):
        OfflineVerifier(KEYS, feeding.revocations())
    asking = Introspection("https://localhost", API, "a", "b")
    with pytest.raises(SettingsError, match="goes with keys"):
        make_app(verifier=asking, revocations=feeding.revocations())
