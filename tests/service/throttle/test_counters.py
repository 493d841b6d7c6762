"""Counters of attempts: one contract for those in memory and those in Redis."""

import logging
import time
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service.throttle import redis_counters
from macaroon_cbat.service.throttle.counters import MOST_REMEMBERED, Count, Counters, MemoryCounters
from macaroon_cbat.service.throttle.redis_counters import RedisCounters
from macaroon_cbat.service.throttle.settings import ThrottleSettings
from tests.support.clock import Clock
from tests.support.redis import RunningRedis, redis_server


@pytest.fixture(scope="module")
def redis() -> Iterator[RunningRedis]:
    with redis_server() as running:
        yield running


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for Redis as long as a busy machine needs, not for the quarter of a second that a request has."""
    monkeypatch.setattr(redis_counters, "_PATIENCE_SECONDS", 60)


@pytest.fixture
def clock() -> Clock:
    return Clock()


MAKERS: dict[str, Callable[..., Counters]] = {
    "memory": lambda clock, _: MemoryCounters(clock),
    "Redis": lambda clock, url: RedisCounters(url, clock),
}


@pytest.fixture(params=MAKERS.values(), ids=list(MAKERS))
def counters(request: pytest.FixtureRequest, clock: Clock, redis: RunningRedis) -> Counters:
    made: Counters = request.param(clock, redis.url)
    return made


def test_attempts_are_counted_by_name(counters, request):
    """Each name has a count of its own, and what was never counted is zero."""
    name, begun = request.node.name, time.monotonic()
    assert [counters.add(name, 60).attempts for _ in range(3)] == [1, 2, 3]
    assert (counters.look(name).attempts, counters.look(name + "x")) == (3, Count())
    ends_in = counters.look(name).ends_in
    assert 59 - (time.monotonic() - begun) <= ends_in <= 60


def test_odd_names_are_names(counters, request):
    """A client writes its name: no text of it joins two counters, or fails."""
    odd = [f"{request.node.name}{text}" for text in (" a b", " a", "\0", "\ud800", "%d", "*", "x" * 5000)]
    assert [counters.add(name, 60).attempts for name in odd] == [1] * 7


def test_processes_share_counts_in_redis(redis, clock):
    """A count of one process is known to every other one."""
    first, second = RedisCounters(redis.url, clock), RedisCounters(redis.url, clock)
    first.add("shared", 60)
    second.add("shared", 60)
    assert [one.look("shared").attempts for one in (first, second)] == [2, 2]


def test_redis_learns_no_names(redis, clock):
    """Names of clients and their addresses are not at rest in Redis."""
    RedisCounters(redis.url, clock).add("pair 192.0.2.7 billing", 60)
    with Redis.from_url(redis.url) as client:
        assert not any(b"billing" in key or b"192.0" in key for key in client.scan_iter())


def test_a_count_in_redis_is_known_for_a_second(redis, clock):
    """A count that was looked up is not looked up again at once: each request with a secret would wait."""
    first, second = RedisCounters(redis.url, clock), RedisCounters(redis.url, clock)
    assert first.look("known") == Count()
    second.add("known", 60)
    assert first.look("known") == Count()
    clock.now += 1
    assert first.look("known").attempts == 1


@pytest.mark.parametrize("text", ["no number", "1.5"])
def test_a_key_that_another_user_of_redis_wrote_fails_nothing(redis, clock, text):
    """A counter that holds no number is not believed, and refuses no request: this process counts."""
    counters = RedisCounters(redis.url, clock)
    counters.add(text, 60)
    with Redis.from_url(redis.url) as other:
        for key in list(other.scan_iter()):
            other.set(key, text)
    assert counters.look(text) == Count()
    assert counters.add(text, 60).attempts == 1


def test_without_redis_each_process_counts(clock, caplog):
    """While Redis is away, attempts are counted in memory, and no request fails or waits long."""
    with redis_server() as running:
        counters = RedisCounters(running.url, clock)
        counters.add("before", 60)
        running.kill()
    with caplog.at_level(logging.ERROR):
        assert [counters.add("after", 60).attempts for _ in range(3)] == [1, 2, 3]
    assert counters.look("after").attempts == 3
    assert len([one for one in caplog.records if "Redis does not count" in one.message]) == 1


def test_a_window_ends(clock):
    """At the end of its window a count is forgotten, and the next attempt begins another window."""
    counters = MemoryCounters(clock)
    counters.add("a", 60)
    clock.now += 30
    assert counters.add("a", 60) == Count(2, 30)
    clock.now += 30
    assert (counters.look("a"), counters.add("a", 60)) == (Count(), Count(1, 60))


def test_memory_is_bounded(clock):
    """An attacker with many names does not fill the memory: the oldest counters give way."""
    counters = MemoryCounters(clock)
    for number in range(MOST_REMEMBERED + 1):
        counters.add(str(number), 60)
    assert (counters.look("0"), counters.look("1").attempts) == (Count(), 1)


@pytest.mark.parametrize("url", ["memcached://localhost", "localhost:6379", "redis", "http://localhost"])
def test_another_storage_is_refused(url):
    """A storage that is no Redis is a SettingsError, without the URL, which may hold a password."""
    with pytest.raises(SettingsError, match="LIMITS_STORAGE must be redis://") as refusal:
        ThrottleSettings(limits_storage=url)
    assert "localhost" not in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["redis://localhost:port", "redis://localhost/0?socket_timeout=x", "redis://localhost?unknown=1"]
)
def test_an_unusable_url_is_refused(url):
    """A URL that Redis cannot have, or an option that it does not know, is a SettingsError at the start."""
    with pytest.raises(SettingsError, match="MACAROON_CBAT_LIMITS_STORAGE is no URL of Redis"):
        RedisCounters(url)
