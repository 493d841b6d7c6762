"""Counters and gauges of prometheus_client; where it is not installed, nothing is counted or shown.

prometheus_client decides when it is imported whether processes share their counters, and a server says so
after its modules are imported. So it is imported with the first count, and not here.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from macaroon_cbat.files.process_values import ProcessLock

if TYPE_CHECKING:
    import prometheus_client
    from prometheus_client.metrics_core import Metric

log = logging.getLogger("macaroon_cbat.metrics")

_UNWRITABLE = (OSError, ValueError, TypeError)
"""A file that cannot be opened, and after a fork one that is closed already: metrics decide no answer."""


class CounterGroup:
    """Counters that are made together: with the first count of one, all are shown, at zero."""

    __slots__ = ("_counters", "_is_made", "_making")

    def __init__(self) -> None:
        """Begin without counters."""
        self._counters: list[Counter] = []
        self._is_made = False
        # The first requests may come at once, and prometheus_client takes no name twice.
        self._making = ProcessLock()

    def add(self, counter: "Counter") -> None:
        """Make this counter with the others."""
        self._counters.append(counter)

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
            for counter in self._counters:
                counter.make(prometheus_client.Counter)
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

    def make(self, kind: "type[prometheus_client.Counter]") -> None:
        """Make the counter, as its group says."""
        counter = kind(self._name, self._text, self._labels)
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
