"""Prometheus gauges for the age of each feed, computed at every scrape."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from macaroon_cbat.files.process_values import ProcessLock

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class Feed(Protocol):
    """A part of the service's state that this process follows."""

    @property
    def followed(self) -> dict[str, str]:
        """The service that it follows, as the labels of its metric."""

    def age(self) -> float:
        """Return the seconds since the service last confirmed the state as complete; infinite before that."""


_feeds: dict[str, "WeakSet[Feed]"] = {}
_lock = ProcessLock()


class FeedAges:
    """A collector of prometheus_client with the ages of the feeds in this process.

    It is in prometheus_client's own registry as soon as there is a feed. A page made of another
    registry, as in its multiprocess mode, shows them after `registry.register(FeedAges())`.
    """

    def describe(self) -> "Iterable[Metric]":
        """Reserve no names: no gauge is computed before a scrape."""
        return ()

    def collect(self) -> "Iterable[Metric]":
        """Return one gauge for each kind of feed; of feeds with the same labels it shows the oldest."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        with _lock.current():
            feeds = {kind: list(known) for kind, known in _feeds.items() if known}
        for kind, known in feeds.items():
            names = list(known[0].followed)
            name = f"macaroon_cbat_{kind}_feed_age_seconds"
            family = GaugeMetricFamily(name, f"Age of the {kind}s that are known.", labels=names)
            for labels in {tuple(feed.followed.values()) for feed in known}:
                ages = [feed.age() for feed in known if tuple(feed.followed.values()) == labels]
                family.add_metric(labels, max(ages))
            yield family


def unknown_feeds() -> str | None:
    """Return which keys or revocations are not known yet, for a readiness probe; None if all are."""
    with _lock.current():
        feeds = [(kind, feed) for kind, known in _feeds.items() for feed in known]
    missing = sorted({kind for kind, feed in feeds if feed.age() == float("inf")})
    return f"not known yet: {' and '.join(f'{kind}s' for kind in missing)}" if missing else None


def show_age(kind: str, feed: Feed) -> None:
    """Show the age of this feed as long as it is in use; do nothing without prometheus_client."""
    try:
        from prometheus_client import REGISTRY
    except ImportError:
        return
    with _lock.current():
        is_first = not _feeds
        _feeds.setdefault(kind, WeakSet()).add(feed)
    if is_first:
        REGISTRY.register(FeedAges())
