"""The management page: the probes /livez and /readyz, and /metrics, on a port of its own.

The parent listens before it forks, and each worker answers on that socket from a thread of its own. Every
worker shows the counters of all of them, dead ones included, so no further process is needed. The page is in
the clear and authenticates no client, so it is on loopback unless the operator names another address.
"""

import json
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.server.listener import IN_PYTHON, listening_socket
from macaroon_cbat.server.metrics_text import Collector, metrics_text
from macaroon_cbat.server.readiness import Readiness
from macaroon_cbat.server.shared_counters import ignoring_leftovers, sharing_counters

log = logging.getLogger("macaroon_cbat.metrics")
_PATIENCE_SECONDS = 5.0
"""Seconds without a byte after which a client is left."""
LONGEST_SECONDS = 10.0
"""Seconds of one request and its answer at most: a client that drips must not keep a thread."""
MOST_CLIENTS = 64
"""Clients at once; one more ends the oldest. Threads and descriptors are those of the service, too."""
_PLAIN, _JSON = "text/plain; charset=utf-8", "application/json"
_PLACES = "this port has /livez, /readyz and /metrics\n"

Answer = tuple[int, str, bytes]
"""Status, content type and body."""


@contextmanager
def management_listener(
    host: str, port: int | None, *, processes: int, spare: Path, handed: socket.socket | None = None
) -> Iterator[socket.socket | None]:
    """Listen for probes and scrapes, and share counters; show nothing without a port.

    `handed` is the listening socket that a service manager made, in place of host and port.
    """
    if port is None and handed is None:
        with ignoring_leftovers():
            yield None
        return
    listening = nullcontext(handed) if handed is not None else closing(_listening(host, port or 0))
    counting = sharing_counters(processes, spare) if find_spec("prometheus_client") else nullcontext()
    with counting, listening as listener:
        yield listener


def _listening(host: str, port: int) -> socket.socket:
    try:
        return listening_socket(host, port)
    except SettingsError as error:
        # The advice there is about the options of the service's own port.
        advice = str(error).removesuffix(IN_PYTHON).replace(" --", " --management-")
        raise SettingsError(f"management: {advice}") from error


def serve_management(
    listener: socket.socket,
    readiness: Readiness,
    collectors: Sequence[Collector] = (),
    *,
    publish: Callable[[], None] = lambda: None,
) -> None:
    """Answer probes and scrapes from a thread that ends with the process; show these collectors, too.

    `publish` is called twice a second: it may set gauges that other processes show.
    """
    page = _Page(readiness, collectors)
    handler = type("_Handler", (_Handler,), {"page": page, "timeout": _PATIENCE_SECONDS})
    server = _Server(("", 0), handler, bind_and_activate=False)
    server.socket.close()
    server.socket, server.publish = listener, publish
    server.service_actions()
    Thread(target=server.serve_forever, name="management", daemon=True).start()


class _Page:
    """The answers of the management page."""

    def __init__(self, readiness: Readiness, collectors: Sequence[Collector]) -> None:
        self._readiness = readiness
        self._metrics = metrics_text(collectors)

    def answer(self, path: str, accepted: str) -> Answer:
        """Return the answer to GET for this path; `accepted` is the Accept header."""
        match path:
            case "/livez":
                is_alive = self._readiness.is_alive()
                return _json(200 if is_alive else 503, {"status": "live" if is_alive else "hanging"})
            case "/readyz":
                return self._ready()
            case "/metrics":
                return self._metrics(accepted)
            case _:
                return 404, _PLAIN, _PLACES.encode()

    def _ready(self) -> Answer:
        if self._readiness.is_stopping:
            return _json(503, {"status": "stopping", "checks": {}})
        problems = self._readiness.problems()
        is_ready = not any(problems.values())
        checks = {name: problem or "ok" for name, problem in problems.items()}
        return _json(
            200 if is_ready else 503, {"status": "ready" if is_ready else "not ready", "checks": checks}
        )


def _json(status: int, members: object) -> Answer:
    return status, _JSON, json.dumps(members, indent=1).encode() + b"\n"


class _Handler(BaseHTTPRequestHandler):
    """One request to the management page; GET and HEAD alone are answered."""

    page: _Page
    server_version = "macaroon_cbat"

    def parse_request(self) -> bool:
        """Read the request, or answer it with an error."""
        if not super().parse_request():
            return False
        hosts = len(self.headers.get_all("Host", []))
        if hosts > 1 or (hosts == 0 and self.request_version != "HTTP/1.0"):
            self.send_error(400, explain="send one Host (RFC 9112 3.2)")
            return False
        return True

    def do_GET(self) -> None:
        """Answer with a page, or 404."""
        try:
            path = urlsplit(self.path).path
        except ValueError:  # an address with half a bracket
            path = ""
        status, kind, body = self.page.answer(path, self.headers.get("Accept", ""))
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 # the name by which http.server calls it

    def version_string(self) -> str:
        """Return the Server header, without Python's version."""
        return self.server_version

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # http.server's
        """Log nothing: probes come every few seconds."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    publish: Callable[[], None]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Begin without a client."""
        self._since: dict[socket.socket, float] = {}  # the oldest first
        self._lock = Lock()
        super().__init__(*arguments, **named)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; end the oldest client if there are too many."""
        with self._lock:
            self._leave(len(self._since) - MOST_CLIENTS + 1)
            self._since[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close the connection, which makes room for another one."""
        with self._lock:
            self._since.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End clients that are too slow, and publish the gauges of this process."""
        with self._lock:
            until = time.monotonic() - LONGEST_SECONDS
            self._leave(sum(since <= until for since in self._since.values()))
        try:
            self.publish()
        except Exception:
            log.exception("gauges cannot be published")

    def _leave(self, count: int) -> None:
        """End the oldest clients, whose threads close the connections; the caller has the lock."""
        for request in list(self._since)[: max(0, count)]:
            del self._since[request]
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 # http.server's
        """Log one line if a client goes away, and no traceback on standard error."""
        log.info("a client of the management page was not answered: %s", sys.exception())
