"""Counters, histograms and gauges of prometheus_client; without it nothing is counted or shown.

prometheus_client decides when it is imported whether processes share their counters, and a server says so
after its modules are imported. So it is imported with the first count, and not here.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from macaroon_cbat.files.process_values import ProcessLock

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

log = logging.getLogger("macaroon_cbat.metrics")

_UNWRITABLE = (OSError, ValueError, TypeError)
"""A file that cannot be opened, and after a fork one that is closed already: metrics decide no answer."""


BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""The upper bounds of a histogram, in seconds."""


class CounterGroup:
    """Counters that are made together: with the first count of one, all are shown, at zero."""

    __slots__ = ("_is_made", "_making", "_members")

    def __init__(self) -> None:
        """Begin without counters."""
        self._members: list[_Series] = []
        self._is_made = False
        # The first requests may come at once, and prometheus_client takes no name twice.
        self._making = ProcessLock()

    def add(self, member: "_Series") -> None:
        """Make this one with the others."""
        self._members.append(member)

    def make(self) -> None:
        """Make the counters of this process, unless that was tried before."""
        if self._is_made:
            return
        with self._making.current():
            if not self._is_made:
                self._make()
                self._is_made = True

    def _make(self) -> None:
        try:
            import prometheus_client
        except ImportError:
            return
        try:
            for member in self._members:
                member.make(prometheus_client)
        except _UNWRITABLE as error:
            _complain(error)


class _Series:
    """The time series of one metric of prometheus_client, by their label values."""

    __slots__ = ("_group", "_make", "_shown", "found", "metric")

    def __init__(
        self, group: CounterGroup, make: Callable[[Any], Any], shown: Iterable[tuple[object, ...]] = ()
    ) -> None:
        self._group, self._make, self._shown = group, make, tuple(shown)
        self.metric: Any = None
        self.found: dict[tuple[object, ...], Any] = {}
        group.add(self)

    def make(self, client: ModuleType) -> None:
        """Make the metric, and the time series that are shown from the start."""
        metric = self._make(client)
        self.found.update((values, _child(metric, values)) for values in self._shown)
        self.metric = metric

    def begin(self, values: tuple[object, ...], count: Callable[[Any], None]) -> None:
        """Count in a time series that was not found."""
        self._group.make()
        if self.metric is None:
            return
        try:
            child = self.found.get(values) or _child(self.metric, values)
            count(child)
        except _UNWRITABLE as error:
            _complain(error)
            return
        self.found[values] = child


class Counter:
    """A counter with labels, whose values are words of ours: no client can make a new time series.

    A bool is shown as yes or no, and None as none.
    """

    __slots__ = ("_found", "_series")

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        *,
        group: CounterGroup,
        shown: Iterable[tuple[object, ...]] | None = None,
    ) -> None:
        """Count under this name, without `_total`; `shown` are label values that are shown from the start."""
        shown = shown or ([] if labels else [()])
        self._series = _Series(group, lambda client: client.Counter(name, text, labels), shown)
        self._found = self._series.found

    def count(self, *values: object) -> None:
        """Add 1 under these label values; where that cannot be written, log it and go on."""
        try:  # costs nothing, where a context manager would: a guard counts on its hot path
            self._found[values].inc()
        except KeyError:
            self._series.begin(values, lambda child: child.inc())
        except _UNWRITABLE as error:
            _complain(error)


class Histogram:
    """A histogram of seconds with labels, whose values are words of ours."""

    __slots__ = ("_found", "_series")

    def __init__(self, name: str, text: str, labels: Sequence[str], *, group: CounterGroup) -> None:
        """Show the seconds under this name."""
        self._series = _Series(group, lambda client: client.Histogram(name, text, labels, buckets=BUCKETS))
        self._found = self._series.found

    def observe(self, seconds: float, *values: str) -> None:
        """Count so many seconds under these label values; where that cannot be written, log it and go on."""
        try:
            self._found[values].observe(seconds)
        except KeyError:
            self._series.begin(values, lambda child: child.observe(seconds))
        except _UNWRITABLE as error:
            _complain(error)


class PublishedGauge:
    """A gauge that each process sets now and then; the page shows the sum over the processes that live."""

    __slots__ = ("_series",)

    def __init__(self, name: str, text: str, labels: Sequence[str], *, group: CounterGroup) -> None:
        """Show the values under this name."""
        self._series = _Series(
            group, lambda client: client.Gauge(name, text, labels, multiprocess_mode="livesum")
        )

    def publish(self, value: float, *values: str) -> None:
        """Show this value of the process from now on."""
        if self._series.metric is None:
            return
        try:
            _child(self._series.metric, values).set(value)
        except _UNWRITABLE as error:
            _complain(error)


class Gauge:
    """A collector with one value, which is computed at every scrape."""

    def __init__(self, name: str, text: str, value: Callable[[], float | None]) -> None:
        """Show the value under this name; a value of None is not shown."""
        self._name, self._text, self._value = name, text, value

    def collect(self) -> "Iterable[Metric]":
        """Return the gauge."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        value = self._value()
        if value is not None:
            yield GaugeMetricFamily(self._name, self._text, value=value)


def _child(metric: Any, values: tuple[object, ...]) -> Any:
    return metric.labels(*map(_word, values)) if values else metric


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _complain(error: Exception) -> None:
    log.error("not counted, prometheus_client cannot write: %s: look at PROMETHEUS_MULTIPROC_DIR", error)
