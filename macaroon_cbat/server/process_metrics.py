"""Metrics of a server's processes: memory, processor time and open files of the parent and its workers."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_TOTAL: dict[str, Callable[[Iterable[float]], float]] = {
    "process_start_time_seconds": min,
    "process_max_fds": min,
}
"""The metrics that are no sum over the processes."""


class ProcessMetrics:
    """A collector of the metrics that every program shows, over all processes of this server."""

    def __init__(self, main: int) -> None:
        """Show the process with this id, the parent of the workers if there are any, and its children."""
        self._main = main

    def collect(self) -> "Iterator[Metric]":
        """Return the metrics: sums, and of start time and limit of open files the least."""
        from prometheus_client.metrics_core import GaugeMetricFamily
        from prometheus_client.process_collector import ProcessCollector

        pids = [self._main, *_children(self._main)]
        yield GaugeMetricFamily("macaroon_cbat_processes", "Processes of this server.", value=len(pids))
        found: dict[str, list[Metric]] = {}
        for pid in pids:
            for family in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                found.setdefault(family.name, []).append(family)
        for name, families in found.items():
            first = families[0]
            total = _TOTAL.get(name, sum)(family.samples[0].value for family in families)
            first.samples = [first.samples[0]._replace(value=total)]
            yield first


class BuildInfo:
    """A collector of the version that runs."""

    def __init__(self, version: str) -> None:
        """Show this version of the package."""
        self._version = version

    def collect(self) -> "Iterator[Metric]":
        """Return the gauge, which is always 1."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        family = GaugeMetricFamily(
            "macaroon_cbat_build_info", "The version that runs.", labels=["version", "python"]
        )
        family.add_metric([self._version, python_version()], 1)
        yield family


def _children(pid: int) -> list[int]:
    """Return the processes that this one has forked and not buried; none where the system shows none."""
    with suppress(OSError):
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(one) for one in found if int(one) != pid]
    return []
