"""The application as its operator observes it: each request has an id, and its seconds are counted."""

from collections.abc import Callable, Iterable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from macaroon_cbat.audit.request_id import (
    REQUEST_ID,
    begin_request,
    end_request,
    is_well_formed,
    new_request_id,
)
from macaroon_cbat.certificate.forwarded import Trust
from macaroon_cbat.certificate.source import CertificateSource
from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.server.parking import PARK, Park, ParkedResponse
from macaroon_cbat.service.metrics import count_seconds
from macaroon_cbat.service.tracing import Tracing

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADER = "X-Request-ID"
_KEY = "HTTP_X_REQUEST_ID"
_REQUEST = "werkzeug.request"


class Observed:
    """A WSGI application around the service's own."""

    __slots__ = ("_application", "_tracing", "_trust")

    def __init__(
        self, application: "WSGIApplication", source: CertificateSource, tracing: Tracing | None = None
    ) -> None:
        """Observe the application; the proxies that `source` trusts may name the id of a request.

        With `tracing` the requests that it names have spans.
        """
        self._application, self._tracing = application, tracing
        self._trust: Trust | None = getattr(source, "trust", None)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer as the application does, with the id in the header of the answer.

        A parked request, whose answer begins later, has the id and is not counted.
        """
        began = perf_counter()
        shown = environ.get(_KEY)
        name = new_request_id() if shown is None else self._id_of(shown, environ)
        environ[REQUEST_ID] = name
        if (park := environ.get(PARK)) is not None:
            environ[PARK] = partial(_park_named, name, park)
        span = None if self._tracing is None else self._tracing.begin(environ, name, self._is_trusted)

        def start(line: str, fields: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            endpoint = environ[_REQUEST].endpoint  # Flask takes the request away before it returns
            count_seconds(perf_counter() - began, endpoint, f"{line[0]}xx")
            fields.append((HEADER, name))
            if span is not None:
                span.answer(int(line[:3]))
            return start_response(line, fields, *error)

        begun = begin_request(name)
        try:
            return self._application(environ, start)
        finally:
            end_request(begun)
            if span is not None:
                span.end()

    def _id_of(self, shown: str, environ: "WSGIEnvironment") -> str:
        """Return the id that a trusted proxy sent, or a new one: a client must not choose what logs say."""
        return shown if is_well_formed(shown) and self._is_trusted(environ) else new_request_id()

    def _is_trusted(self, environ: "WSGIEnvironment") -> bool:
        """Return True for a request of a trusted proxy."""
        if self._trust is None:
            return False
        try:
            return self._trust.distrust(WsgiConnection(environ)) is None
        except MacaroonError:
            return False  # the same error answers the request, if it needs the proxy


def _park_named(
    name: str, park: Park, seconds: float, on_end: Callable[[], None], holder: str = ""
) -> ParkedResponse | None:
    """Park the response, and name the request in its header."""
    parked = park(seconds, on_end, holder)
    if parked is not None:
        parked.add_field(HEADER, name)
    return parked
