"""The text of the metrics page, in the format that a scraper asks for: Prometheus's own or OpenMetrics."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from macaroon_cbat.errors.extras import MissingExtra, extra
from macaroon_cbat.server.shared_counters import is_shared

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric


class Collector(Protocol):
    """A collector, as prometheus_client calls it."""

    def collect(self) -> "Iterable[Metric]":
        """Return metrics, computed at this scrape."""


_OURS = "macaroon_cbat_"


def metrics_text(collectors: Sequence[Collector]) -> Callable[[str], tuple[int, str, bytes]]:
    """Return the function from an Accept header to status, content type and body of the page.

    It shows the counters of all processes, and these collectors. Without prometheus_client it says how to
    install it.
    """
    try:
        with extra("metrics"):
            from prometheus_client import CollectorRegistry
            from prometheus_client.exposition import choose_encoder
    except MissingExtra as error:
        told = f"{error}\n".encode()
        return lambda _accepted: (501, "text/plain; charset=utf-8", told)
    registry = CollectorRegistry()
    _show_counters(registry)
    for collector in collectors:
        registry.register(collector)

    def answer(accepted: str) -> tuple[int, str, bytes]:
        try:
            encode, kind = choose_encoder(accepted)
        except (TypeError, ValueError):  # it fails on a version in quotation marks, or of letters
            encode, kind = choose_encoder("")
        return 200, kind, encode(registry)

    return answer


def _show_counters(registry: "CollectorRegistry") -> None:
    if is_shared():
        from prometheus_client.multiprocess import MultiProcessCollector

        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(_OwnCounters())


class _OwnCounters:
    """The counters of this process, in the form in which the page shows those of several."""

    def collect(self) -> "Iterator[Metric]":
        """Return the counters of this package, without the times at which they were made."""
        from prometheus_client import REGISTRY

        for family in REGISTRY.collect():
            if family.name.startswith(_OURS):
                family.samples = [one for one in family.samples if not one.name.endswith("_created")]
                yield family
