"""The page with the metrics of all worker processes, on a port of its own.

The parent listens before it forks, and each worker answers on that socket from a thread of its own. Every
worker shows the counters of all of them, dead ones included, so no further process is needed.
"""

import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import extra
from macaroon_cbat.server.listener import IN_PYTHON, listening_socket
from macaroon_cbat.server.shared_counters import ignoring_leftovers, is_shared, sharing_counters

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

log = logging.getLogger("macaroon_cbat.metrics")
_PATIENCE_SECONDS = 5.0
_OURS = "macaroon_cbat_"


@contextmanager
def metrics_listener(
    host: str, port: int | None, *, processes: int, spare: Path
) -> Iterator[socket.socket | None]:
    """Listen for scrapes and share counters, as `sharing_counters` does; show nothing without a port."""
    if port is None:
        with ignoring_leftovers():
            yield None
        return
    with sharing_counters(processes, spare), closing(_listening(host, port)) as listener:
        yield listener


def _listening(host: str, port: int) -> socket.socket:
    try:
        return listening_socket(host, port)
    except SettingsError as error:
        # The advice there is about the options of the service's own port.
        advice = str(error).removesuffix(IN_PYTHON).replace(" --", " --metrics-")
        raise SettingsError(f"metrics: {advice}") from error


def serve_metrics(listener: socket.socket, *collectors: "Collector") -> None:
    """Answer scrapes from a thread that ends with the process; show these collectors, too."""
    with extra("metrics"):
        from prometheus_client import CollectorRegistry, MetricsHandler

    registry = CollectorRegistry()
    _show_counters(registry)
    for collector in collectors:
        registry.register(collector)
    handler = type(
        "_Handler", (_OnePage, MetricsHandler), {"registry": registry, "timeout": _PATIENCE_SECONDS}
    )
    server = _Server(("", 0), handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()


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


class _OnePage(BaseHTTPRequestHandler):
    """The page at `/metrics`; every other path is 404."""

    def parse_request(self) -> bool:
        """Read the request, or answer it with an error."""
        if not super().parse_request():
            return False
        hosts = len(self.headers.get_all("Host", []))
        if hosts > 1 or (hosts == 0 and self.request_version != "HTTP/1.0"):
            self.send_error(400, explain="send one Host (RFC 9112 3.2)")
            return False
        if urlsplit(self.path).path != "/metrics":
            self.send_error(404, explain="the metrics are at /metrics")
            return False
        return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 # http.server's
        """Log one line if a client goes away, and no traceback on standard error."""
        log.info("a client of the metrics page was not answered: %s", sys.exception())
