"""The page that shows the metrics of all worker processes, on a port of its own.

The parent listens before it forks, and each worker answers on that socket from a thread of its own.
What it shows are the counters that all workers, dead ones included, keep in files of one private
folder. So it does not matter who answers, and there is no further process to look after.
"""

import logging
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from http.server import ThreadingHTTPServer
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Any

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.stores import Stores
from macaroon_cbat.tls.listening import listening_socket

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

log = logging.getLogger("macaroon_cbat.metrics")
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_PATIENCE_SECONDS = 5.0


@contextmanager
def metrics_listener(host: str, port: int | None) -> Iterator[socket.socket | None]:
    """Listen for who scrapes, and let the processes to come share their counters; None: do nothing.

    Must come before prometheus_client is imported. Raises SettingsError in one line.
    """
    if port is None:
        yield None
        return
    if find_spec("prometheus_client") is None:
        raise SettingsError("metrics need prometheus_client: pip install 'macaroon_cbat[metrics]'")
    with closing(_listening(host, port)) as listener, TemporaryDirectory(prefix="macaroon-cbat-") as folder:
        os.environ[_FOLDER] = folder
        try:
            yield listener
        finally:
            del os.environ[_FOLDER]


def _listening(host: str, port: int) -> socket.socket:
    try:
        return listening_socket(host, port)
    except SettingsError as error:
        # The advice there is about the options of the service's own port.
        raise SettingsError("metrics: " + str(error).replace(" --", " --metrics-")) from error


def serve_metrics(listener: socket.socket, stores: Stores, clock: Callable[[], float]) -> None:
    """Answer who scrapes, from a thread that ends with the process."""
    from prometheus_client import CollectorRegistry, MetricsHandler
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(_KeyAge(stores, clock))
    handler = type("_Handler", (MetricsHandler,), {"registry": registry, "timeout": _PATIENCE_SECONDS})
    server = _Server(("", 0), handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 # http.server's
        """Leave one line, not a traceback on standard error, when a client goes away."""
        log.info("a client of the metrics page was not answered: %s", sys.exception())


class _KeyAge:
    """Looks up the age of the current root key when somebody asks."""

    def __init__(self, stores: Stores, clock: Callable[[], float]) -> None:
        self._stores = stores
        self._clock = clock

    def collect(self) -> "Iterable[Metric]":
        """Return the age; nothing while the database is out of reach."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        try:
            [current] = [one for one in self._stores.root_keys.records() if one.state == "current"]
        except Unavailable as error:
            log.warning("the age of the current key is not known: %s", error)
            return
        age = max(0.0, self._clock() - current.since)
        yield GaugeMetricFamily("macaroon_cbat_key_age_seconds", "Age of the current root key.", value=age)
