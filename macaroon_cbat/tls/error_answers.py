"""The server's own responses: to what is no request, and where the application fails."""

import json
from http import HTTPStatus

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
