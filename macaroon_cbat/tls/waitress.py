"""The wall around waitress: of it only the WSGI task is used, since this package reads requests itself."""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from waitress.adjustments import Adjustments
from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.task import WSGITask

from macaroon_cbat.certificate.untrusted_headers import UNTRUSTED_HEADERS
from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE, PEER_INTERMEDIATES
from macaroon_cbat.server.parking import PARK
from macaroon_cbat.server.stopping import IS_STOPPING
from macaroon_cbat.tls.backlog import Backlog

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["ReadOnlyFileBasedBuffer", "Site", "Task", "error_answer"]

log = logging.getLogger("macaroon_cbat.tls")

_DESCRIPTIONS = {
    400: "this is not a well-formed HTTP/1.1 request",
    408: "the request did not arrive in time",
    413: "the body of the request is too large",
    414: "the target of the request is too long",
    431: "the header of the request is too large",
    500: "the server failed to answer this request",
    501: "this method or transfer coding is not implemented here",
    503: "the server has no room for this request: send it again later",
    505: "this server speaks HTTP/1.1 and HTTP/1.0",
}


_CODES = {500: "server_error", 503: "temporarily_unavailable"}


@dataclass(slots=True)
class Site:
    """The application and its address, in the shape in which waitress looks for them."""

    application: "WSGIApplication"
    adj: Any
    server_name: str
    effective_port: int
    is_multiprocess: bool
    removed_keys: frozenset[str]
    is_stopping: bool = False
    backlog: Backlog = field(default_factory=Backlog)

    def stops(self) -> bool:
        """Return True once the server finishes what is under way, for applications that wait."""
        return self.is_stopping


def removed_keys(proxy_headers: Iterable[str]) -> frozenset[str]:
    """Return the environ keys of all UNTRUSTED_HEADERS but those that a proxy writes."""
    untrusted = {_key(name) for name in (*UNTRUSTED_HEADERS, "Upgrade")}
    return frozenset(untrusted - {_key(name) for name in proxy_headers})


def _key(name: str) -> str:
    return "HTTP_" + name.upper().replace("-", "_")


def adjustments() -> Any:
    """Return waitress's settings."""
    return Adjustments(
        url_scheme="https",
        ident=None,
        # Otherwise an OSError of the application would pass for a broken connection.
        log_socket_errors=True,
    )


class IncompleteResponseError(Exception):
    """The application's answer is shorter than its Content-Length."""


class Task(WSGITask):  # type: ignore[misc]  # waitress ships no types
    """One call of the application."""

    logger = log

    def execute(self) -> None:
        """Call the application; raise IncompleteResponseError when it has sent less than it announced."""
        super().execute()
        sent, announced = self.content_bytes_written, self.content_length
        is_body_due = self.has_body and self.request.command != "HEAD" and not self.channel.has_file
        if is_body_due and announced is not None and sent < announced:
            raise IncompleteResponseError(f"the application sent {sent} of {announced} bytes")

    def is_parked(self) -> bool:
        """Return True if the application has parked the response and begun none itself."""
        return self.channel.parked is not None and not self.complete

    def finish(self) -> None:
        """End the response, unless it is parked."""
        if not self.is_parked():
            super().finish()

    def write(self, data: bytes) -> None:
        """Send the header and this part together: one record, one packet."""
        super().write(data)
        self.channel.announce()

    def build_response_header(self) -> bytes:
        """Tell the client not to reuse the connection when the server stops."""
        if self.channel.site.is_stopping:
            self.set_close_on_finish()
        return cast("bytes", super().build_response_header())

    def get_environment(self) -> dict[str, Any]:
        """Return the WSGI environment with the certificate of this very connection."""
        if self.environ is None:
            environ: dict[str, Any] = super().get_environment()
            for key in environ.keys() & self.channel.site.removed_keys:
                del environ[key]
            environ["SERVER_SOFTWARE"] = "macaroon_cbat"
            environ["HTTPS"] = "on"
            environ["wsgi.multiprocess"] = self.channel.site.is_multiprocess
            environ[IS_STOPPING] = self.channel.site.stops
            environ[PARK] = self.channel.park
            if self.channel.addr[1] is not None:  # else the connection itself can show no certificate
                environ[PEER_CERTIFICATE] = self.channel.peer_certificate
                environ[PEER_INTERMEDIATES] = self.channel.peer_intermediates
        return cast("dict[str, Any]", self.environ)


def error_answer(status: int) -> bytes:
    """Return a whole response in the service's JSON; the connection is closed after it."""
    code = _CODES.get(status, "invalid_request")
    answer = {"error": code, "error_description": _DESCRIPTIONS[status]}
    body = json.dumps(answer, separators=(",", ":")).encode()
    return _response(status, "application/json", body)


def https_expected() -> bytes:
    """Return the answer to plain HTTP on the TLS port."""
    return _response(400, "text/plain; charset=utf-8", b"This port speaks TLS: use https.\n")


def _response(status: int, content_type: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Cache-Control: no-store\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\nContent-Type: {content_type}\r\n\r\n"
    )
    return head.encode() + body
