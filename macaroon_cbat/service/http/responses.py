"""JSON responses of the service."""

import msgspec
from flask import Response

_encode = msgspec.json.Encoder().encode


def answer(members: object, status: int = 200, *, cacheable: bool = False) -> Response:
    """Return a JSON response, which no cache may store unless it is `cacheable` (RFC 6749 5.1)."""
    response = Response(b"" if status == 204 else _encode(members), status, mimetype="application/json")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "max-age=300" if cacheable else "no-store"
    if not cacheable:
        response.headers["Pragma"] = "no-cache"
    return response
