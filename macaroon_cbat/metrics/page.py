"""The page that shows the metrics of all worker processes, on a port of its own.

The parent listens before it forks, and each worker answers on that socket from a thread of its own.
What it shows are the counters that all workers, dead ones included, keep in files of one private
folder. So it does not matter who answers, and there is no further process to look after.
"""

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import ThreadingHTTPServer
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Any

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.tls.listening import listening_socket

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

log = logging.getLogger("macaroon_cbat.metrics")
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_PATIENCE_SECONDS = 5.0


@contextmanager
def metrics_listener(host: str, port: int | None) -> Iterator[socket.socket | None]:
    """Listen for who scrapes and share counters, as `sharing_counters` says; without a port do nothing."""
    if port is None:
        yield None
        return
    with sharing_counters(), closing(_listening(host, port)) as listener:
        yield listener


@contextmanager
def sharing_counters() -> Iterator[None]:
    """Let the processes to come share their counters, as long as the block lasts.

    Must come before prometheus_client is imported. Raises SettingsError in one line.
    """
    if find_spec("prometheus_client") is None:
        raise SettingsError("metrics need prometheus_client: pip install 'macaroon_cbat[metrics]'")
    with TemporaryDirectory(prefix="macaroon-cbat-") as folder:
        os.environ[_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[_FOLDER]


def _listening(host: str, port: int) -> socket.socket:
    try:
        return listening_socket(host, port)
    except SettingsError as error:
        # The advice there is about the options of the service's own port.
        raise SettingsError("metrics: " + str(error).replace(" --", " --metrics-")) from error


def serve_metrics(listener: socket.socket, *collectors: "Collector") -> None:
    """Answer who scrapes, from a thread that ends with the process; show what the collectors have as well."""
    from prometheus_client import CollectorRegistry, MetricsHandler
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    for collector in collectors:
        registry.register(collector)
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
