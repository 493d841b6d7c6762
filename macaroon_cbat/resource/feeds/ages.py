"""How old what the feeds know is, as gauges: worked out when a page is asked for, so never stale itself."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from macaroon_cbat.files.process_values import ProcessLock

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class Feed(Protocol):
    """What a service is followed by."""

    @property
    def followed(self) -> dict[str, str]:
        """Whom it follows, as the labels of its metric."""

    def age(self) -> float:
        """Return the seconds since the service last said that this was all; infinite before that."""


_feeds: dict[str, "WeakSet[Feed]"] = {}
_lock = ProcessLock()


class FeedAges:
    """A collector of prometheus_client with the ages of the feeds in this process.

    It is in prometheus_client's own registry as soon as there is a feed. A page made of another
    registry, as in its multiprocess mode, shows them after `registry.register(FeedAges())`.
    """

    def describe(self) -> "Iterable[Metric]":
        """Reserve no names: nothing is worked out before a page is asked for."""
        return ()

    def collect(self) -> "Iterable[Metric]":
        """Return one gauge a kind of feed; of feeds that follow the same, the oldest one counts."""
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
