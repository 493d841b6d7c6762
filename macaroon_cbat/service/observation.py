"""The application as its operator observes it: each request has an id, and its seconds are counted."""

from collections.abc import Callable, Iterable
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
from macaroon_cbat.service.metrics import count_seconds

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADER = "X-Request-ID"
_KEY = "HTTP_X_REQUEST_ID"
_REQUEST = "werkzeug.request"


class Observed:
    """A WSGI application around the service's own."""

    __slots__ = ("_application", "_trust")

    def __init__(self, application: "WSGIApplication", source: CertificateSource) -> None:
        """Observe the application; the proxies that `source` trusts may name the id of a request."""
        self._application = application
        self._trust: Trust | None = getattr(source, "trust", None)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer as the application does, with the id in the header of the answer.

        A parked request, whose answer begins later, is not counted.
        """
        began = perf_counter()
        shown = environ.get(_KEY)
        name = new_request_id() if shown is None else self._id_of(shown, environ)
        environ[REQUEST_ID] = name

        def start(line: str, fields: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            endpoint = environ[_REQUEST].endpoint  # Flask takes the request away before it returns
            count_seconds(perf_counter() - began, endpoint, f"{line[0]}xx")
            fields.append((HEADER, name))
            return start_response(line, fields, *error)

        begun = begin_request(name)
        try:
            return self._application(environ, start)
        finally:
            end_request(begun)

    def _id_of(self, shown: str, environ: "WSGIEnvironment") -> str:
        """Return the id that a trusted proxy sent, or a new one: a client must not choose what logs say."""
        try:
            if self._trust is not None and is_well_formed(shown):
                is_trusted = self._trust.distrust(WsgiConnection(environ)) is None
                return shown if is_trusted else new_request_id()
        except MacaroonError:
            pass  # the same error answers the request, if it needs the proxy
        return new_request_id()
