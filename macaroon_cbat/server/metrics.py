"""Counters, histograms and gauges of prometheus_client; without it nothing is counted or shown.

prometheus_client decides when it is imported whether processes share their counters, and a server says so
after its modules are imported. So it is imported with the first count, and not here.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from macaroon_cbat.files.process_values import ProcessLock

if TYPE_CHECKING:
    import prometheus_client
    from prometheus_client.metrics_core import Metric

log = logging.getLogger("macaroon_cbat.metrics")

_UNWRITABLE = (OSError, ValueError, TypeError)
"""A file that cannot be opened, and after a fork one that is closed already: metrics decide no answer."""


BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""The upper bounds of a histogram, in seconds."""


class Member(Protocol):
    """A counter, histogram or gauge of a group."""

    def make(self, client: ModuleType, /) -> None:
        """Make it with prometheus_client."""


class CounterGroup:
    """Counters that are made together: with the first count of one, all are shown, at zero."""

    __slots__ = ("_is_made", "_making", "_members")

    def __init__(self) -> None:
        """Begin without counters."""
        self._members: list[Member] = []
        self._is_made = False
        # The first requests may come at once, and prometheus_client takes no name twice.
        self._making = ProcessLock()

    def add(self, member: Member) -> None:
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


class Counter:
    """A counter with labels, whose values are words of ours: no client can make a new time series.

    A bool is shown as yes or no, and None as none.
    """

    __slots__ = ("_children", "_counter", "_group", "_labels", "_name", "_shown", "_text")

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
        self._name, self._text, self._labels, self._group = name, text, labels, group
        self._shown = list(shown or ([] if labels else [()]))
        self._counter: prometheus_client.Counter | None = None
        self._children: dict[tuple[object, ...], prometheus_client.Counter] = {}
        group.add(self)

    def make(self, client: ModuleType) -> None:
        """Make the counter, as its group says."""
        counter = client.Counter(self._name, self._text, self._labels)
        self._children = {values: _child(counter, values) for values in self._shown}
        self._counter = counter

    def count(self, *values: object) -> None:
        """Add 1 under these label values; where that cannot be written, log it and go on."""
        try:  # costs nothing, where a context manager would: a guard counts on its hot path
            self._children[values].inc()
        except KeyError:
            self._count_new(values)
        except _UNWRITABLE as error:
            _complain(error)

    def _count_new(self, values: tuple[object, ...]) -> None:
        self._group.make()
        if self._counter is None:
            return
        try:
            child = self._children.get(values) or _child(self._counter, values)
            child.inc()
        except _UNWRITABLE as error:
            _complain(error)
            return
        self._children[values] = child


class Histogram:
    """A histogram of seconds with labels, whose values are words of ours."""

    __slots__ = ("_children", "_group", "_histogram", "_labels", "_name", "_text")

    def __init__(self, name: str, text: str, labels: Sequence[str], *, group: CounterGroup) -> None:
        """Show the seconds under this name."""
        self._name, self._text, self._labels, self._group = name, text, labels, group
        self._histogram: prometheus_client.Histogram | None = None
        self._children: dict[tuple[str, ...], prometheus_client.Histogram] = {}
        group.add(self)

    def make(self, client: ModuleType) -> None:
        """Make the histogram, as its group says."""
        self._histogram = client.Histogram(self._name, self._text, self._labels, buckets=BUCKETS)

    def observe(self, seconds: float, *values: str) -> None:
        """Count so many seconds under these label values; where that cannot be written, log it and go on."""
        try:
            self._children[values].observe(seconds)
        except KeyError:
            self._observe_new(seconds, values)
        except _UNWRITABLE as error:
            _complain(error)

    def _observe_new(self, seconds: float, values: tuple[str, ...]) -> None:
        self._group.make()
        if self._histogram is None:
            return
        try:
            child = self._histogram.labels(*values)
            child.observe(seconds)
        except _UNWRITABLE as error:
            _complain(error)
            return
        self._children[values] = child


class PublishedGauge:
    """A gauge that each process sets now and then; the page shows the sum over the processes that live."""

    __slots__ = ("_gauge", "_labels", "_name", "_text")

    def __init__(self, name: str, text: str, labels: Sequence[str], *, group: CounterGroup) -> None:
        """Show the values under this name."""
        self._name, self._text, self._labels = name, text, labels
        self._gauge: prometheus_client.Gauge | None = None
        group.add(self)

    def make(self, client: ModuleType) -> None:
        """Make the gauge, as its group says."""
        self._gauge = client.Gauge(self._name, self._text, self._labels, multiprocess_mode="livesum")

    def publish(self, value: float, *values: str) -> None:
        """Show this value of the process from now on."""
        if self._gauge is None:
            return
        try:
            (self._gauge.labels(*values) if values else self._gauge).set(value)
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


def _child(counter: "prometheus_client.Counter", values: tuple[object, ...]) -> "prometheus_client.Counter":
    return counter.labels(*map(_word, values)) if values else counter


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _complain(error: Exception) -> None:
    log.error("not counted, prometheus_client cannot write: %s: look at PROMETHEUS_MULTIPROC_DIR", error)
