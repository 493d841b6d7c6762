"""The wall around waitress: its request parser, WSGI task and buffers, with our answers and our keys."""

import json
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, cast

from waitress.adjustments import Adjustments
from waitress.buffers import OverflowableBuffer, ReadOnlyFileBasedBuffer
from waitress.parser import HTTPRequestParser
from waitress.proxy_headers import PROXY_HEADERS
from waitress.task import WSGITask

from macaroon_cbat.thumbprint import DerCertificate
from macaroon_cbat.tls.limits import Limits
from macaroon_cbat.wsgi_hop import PEER_CERTIFICATE

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["OverflowableBuffer", "ReadOnlyFileBasedBuffer", "Site", "Task", "error_answer", "new_request"]

log = logging.getLogger("macaroon_cbat.tls")

_SPOOL_BYTES = 1 << 18
_PROXY_KEYS = tuple(f"HTTP_{header}" for header in PROXY_HEADERS)

_DESCRIPTIONS = {
    400: "this is not a well-formed HTTP/1.1 request",
    408: "the request did not arrive in time",
    413: "the body of the request is too large",
    431: "the header of the request is too large",
    500: "the server failed to answer this request",
    501: "the only transfer coding understood here is chunked",
}


class Channel(Protocol):
    """What a waitress task asks of the connection that it answers."""

    site: "Site"
    peer_certificate: DerCertificate | None

    def write_soon(self, data: Any) -> int:
        """Queue a part of the response."""

    def announce(self) -> None:
        """Have what was queued sent now."""


@dataclass(slots=True)
class Site:
    """The application and its address, in the shape in which waitress looks for them."""

    application: "WSGIApplication"
    adj: Any
    server_name: str
    effective_port: int
    is_multiprocess: bool
    is_stopping: bool = False


def adjustments(limits: Limits) -> Any:
    """Return waitress's settings for these limits."""
    return Adjustments(
        url_scheme="https",
        ident=None,
        # waitress refuses what reaches the limit; ours is the largest that passes.
        max_request_header_size=limits.header_bytes + 1,
        max_request_body_size=limits.body_bytes + 1,
        inbuf_overflow=_SPOOL_BYTES,
        # Otherwise an OSError of the application would pass for a broken connection.
        log_socket_errors=True,
    )


def new_request(site: Site) -> Any:
    """Return an empty request, to be fed with bytes until it is `completed`."""
    return HTTPRequestParser(site.adj)


def new_buffer() -> Any:
    """Return a buffer for output that goes to a file when it grows."""
    return OverflowableBuffer(_SPOOL_BYTES)


class Task(WSGITask):  # type: ignore[misc]  # waitress ships no types
    """One call of the application."""

    logger = log

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
            # There is no proxy in front: these headers can only pretend.
            for key in _PROXY_KEYS:
                environ.pop(key, None)
            environ["SERVER_SOFTWARE"] = "macaroon_cbat"
            environ["HTTPS"] = "on"
            environ["wsgi.multiprocess"] = self.channel.site.is_multiprocess
            environ[PEER_CERTIFICATE] = self.channel.peer_certificate
        return cast("dict[str, Any]", self.environ)


def error_answer(status: int) -> bytes:
    """Return a whole response in the service's JSON; the connection is closed after it."""
    code = "server_error" if status == 500 else "invalid_request"
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
