"""Responses of the service: JSON, redirects, and those that are parked."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
from flask import Response
from werkzeug.wsgi import ClosingIterator

from macaroon_cbat.server.parking import ParkedResponse

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_encode = msgspec.json.Encoder().encode


def answer(members: object, status: int = 200, *, cacheable: bool = False) -> Response:
    """Return a JSON response, which no cache may store unless it is `cacheable` (RFC 6749 5.1)."""
    response = _Json(b"" if status == 204 else _encode(members), status, mimetype="application/json")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "max-age=300" if cacheable else "no-store"
    if not cacheable:
        response.headers["Pragma"] = "no-cache"
    return response


def see_other(url: str) -> Response:
    """Return a redirect that is followed by GET, so that no form is sent on (RFC 9700 4.12).

    No cache may store it, and the page before is not named to the next one.
    """
    response = Response(b"", 303, mimetype="text/plain")
    response.headers["Location"] = url
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


class _Json(Response):
    """JSON whose headers are sent as they are: nothing in them is relative, and the length is known."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Send the response; Werkzeug has to see to one without a body."""
        if environ["REQUEST_METHOD"] == "HEAD" or self.status_code == 204:
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return ClosingIterator(self.iter_encoded(), self.close)


def finish(parked: ParkedResponse, response: Response) -> None:
    """Finish a parked response as this one."""
    fields = [(name, value) for name, value in response.headers.items() if name != "Content-Length"]
    parked.finish(response.status, fields, response.get_data())


class Parked(Response):
    """The place of a response that was parked: the server sends what finishes it."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:  # noqa: ARG002
        """Answer nothing."""
        return []
