"""The ages of the feeds on a metrics page: their values, and their growth while no service answers."""

import gc
import math
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.resource.feeds.ages import FeedAges
from tests.support.databases import grant
from tests.support.feeds import Feeding
from tests.support.service_process import API
from tests.support.tls_servers import wait_until

REVOCATIONS, KEYS = "macaroon_cbat_revocation_feed_age_seconds", "macaroon_cbat_key_feed_age_seconds"


def test_the_age_is_that_of_the_last_answer(alone: Feeding):
    """Infinite before the first answer, near 0 after each, and growing while the service is away."""
    now = [1000.0]
    feed = alone.revocations(max_staleness=4, monotonic=lambda: now[0])
    labels = {"issuer": alone.service.issuer}

    def shown() -> float | None:
        return REGISTRY.get_sample_value(REVOCATIONS, labels)

    assert shown() == math.inf
    feed.start()
    with alone.service.running():
        wait_until(lambda: shown() == 0)
        now[0] += 7
        wait_until(lambda: shown() == 0)
    now[0] += 3
    assert shown() == 3, "the feed is not asked meanwhile"
    now[0] += 58
    assert shown() == 61
    with pytest.raises(Unavailable, match="61 s old"):
        feed.current()
    feed.stop()


def test_the_age_of_keys_is_that_of_their_answer(feeding: Feeding, tmp_path: Path):
    """Keys of a snapshot have no age yet, keys of the service the time since it gave them."""
    gc.collect()  # feeds of other tests
    now, file = [1000.0], tmp_path / "keys.json"
    feed = feeding.keys("certified", snapshot=file, monotonic=lambda: now[0])
    labels = {"issuer": feeding.service.issuer, "audience": API}

    def shown() -> float | None:
        return REGISTRY.get_sample_value(KEYS, labels)

    assert shown() == math.inf
    kid = read_identifier(read_macaroon(feeding.token()).identifier).kid
    feed.key_for(grant(kid=kid, aud=API))
    assert shown() == 0
    now[0] += 100
    assert shown() == 100
    again = feeding.keys("certified", snapshot=file, monotonic=lambda: now[0])
    assert again.age() == math.inf
    assert shown() == math.inf, "of two feeds of the same keys the older one counts"
    del again
    gc.collect()
    assert shown() == 100


def test_another_registry_may_show_them(feeding: Feeding):
    """A page of another registry shows the ages once the collector is registered there."""
    feed = feeding.revocations()
    registry = CollectorRegistry()
    registry.register(FeedAges())
    line = f'{REVOCATIONS}{{issuer="{feed.issuer}"}} '
    assert line in generate_latest(registry).decode()
