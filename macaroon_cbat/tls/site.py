"""The application of a server, and the environment that it sees of each request (PEP 3333)."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from macaroon_cbat.certificate.untrusted_headers import UNTRUSTED_HEADERS
from macaroon_cbat.tls.file_body import FileBody
from macaroon_cbat.tls.parking_places import ParkingPlaces
from macaroon_cbat.tls.request import Request
from macaroon_cbat.tls.unsent_bytes import Backlog

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

ClientAddress = tuple[str, int | None]
"""Address and port of a client; no port over a Unix socket."""


def is_over_tls(address: ClientAddress) -> bool:
    """Return False for a connection over a Unix socket, whose proxy has terminated TLS."""
    return address[1] is not None


@dataclass(slots=True)
class Site:
    """The application and its address."""

    application: "WSGIApplication"
    server_name: str
    port: int
    is_multiprocess: bool
    removed_keys: frozenset[str]
    is_stopping: bool = False
    backlog: Backlog = field(default_factory=Backlog)
    places: ParkingPlaces = field(default_factory=ParkingPlaces)
    _environ: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the part of the environment that all requests share."""
        self._environ = {
            "HTTPS": "on",
            "SCRIPT_NAME": "",
            "SERVER_NAME": self.server_name,
            "SERVER_PORT": str(self.port),
            "SERVER_SOFTWARE": "macaroon_cbat",
            "wsgi.errors": sys.stderr,
            "wsgi.file_wrapper": FileBody,
            "wsgi.input_terminated": True,
            "wsgi.multiprocess": self.is_multiprocess,
            "wsgi.multithread": True,
            "wsgi.run_once": False,
            "wsgi.url_scheme": "https",
            "wsgi.version": (1, 0),
        }

    def environ(self, request: Request, host: str, port: int | None) -> dict[str, Any]:
        """Return the environment of a request that came from there.

        Header fields that only a proxy may write are left out, unless this site has such a proxy.
        """
        environ = self._environ.copy()
        for name, value in request.headers.items():
            key = name if name in _WITHOUT_PREFIX else "HTTP_" + name
            if key not in self.removed_keys:
                environ[key] = value
        path = request.path
        # Slashes at the beginning are one, so that no application takes the path for a host.
        environ["PATH_INFO"] = "/" + path.lstrip("/") if path[:2] == "//" else path
        environ["QUERY_STRING"] = request.query
        environ["REMOTE_ADDR"] = environ["REMOTE_HOST"] = host
        environ["REMOTE_PORT"] = str(port)
        environ["REQUEST_METHOD"] = request.command
        environ["REQUEST_URI"] = request.request_uri
        environ["SERVER_PROTOCOL"] = f"HTTP/{request.version}"
        environ["wsgi.input"] = request.get_body_stream()
        return environ


_WITHOUT_PREFIX = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE"})


def removed_keys(proxy_headers: Iterable[str]) -> frozenset[str]:
    """Return the environ keys of all UNTRUSTED_HEADERS but those that a proxy writes."""
    untrusted = {_key(name) for name in (*UNTRUSTED_HEADERS, "Upgrade")}
    return frozenset(untrusted - {_key(name) for name in proxy_headers})


def _key(name: str) -> str:
    return "HTTP_" + name.upper().replace("-", "_")
