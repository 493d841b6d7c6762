"""Error handlers of the service, the one place where errors become JSON, or a page for a browser."""

import logging
import re
from collections.abc import Mapping
from urllib.parse import unquote

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from macaroon_cbat.errors import (
    AuthorizationPending,
    InsufficientScope,
    InvalidClient,
    InvalidToken,
    MissingToken,
    OAuthError,
    ProxyMisconfigured,
    ServerMisconfigured,
    TooManyRequests,
    Unavailable,
    UseDpopNonce,
)
from macaroon_cbat.errors.discharges import InteractionRequired
from macaroon_cbat.errors.dpop import NonceRequired, ProofRefused
from macaroon_cbat.errors.oauth import NOTHING_FURTHER
from macaroon_cbat.files.notices import say_once
from macaroon_cbat.macaroon.bearer import challenge
from macaroon_cbat.service.audit import write_or_log_refusal
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.service.metrics import count_refused
from macaroon_cbat.service.pages.routes import error_page, is_refused_by_page
from macaroon_cbat.text.printable import printable

log = logging.getLogger("macaroon_cbat.service")

_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")

_REALM = "macaroon_cbat"
_RETRY_SECONDS = "5"
_BEHIND_A_PROXY = (
    "; where a proxy terminates TLS, name it in MACAROON_CBAT_CERTIFICATE_FORMAT and "
    "MACAROON_CBAT_TRUSTED_PROXIES"
)
_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
}


def refuse_other_spellings(app: Flask) -> None:
    """Answer 404 to repeated slashes in a path: Werkzeug would ignore them or redirect by the Host header."""
    app.url_map.merge_slashes = False
    app.before_request(_refuse_leading_slashes)


def _refuse_leading_slashes() -> None:
    """Raise NotFound for a path that a proxy in front could have read as another one.

    The embedded server leaves slashes at the beginning out of PATH_INFO; REQUEST_URI has what was sent,
    maybe with the origin before the path (RFC 9112 3.2.2).
    """
    path = request.environ["PATH_INFO"]
    sent = unquote(_ORIGIN.sub("", request.environ.get("REQUEST_URI", "")).partition("?")[0])
    if not path.startswith("/") or path.startswith("//") or sent.startswith("//"):
        raise NotFound


def answer_errors(app: Flask) -> None:
    """Let the application answer every error as JSON (RFC 6749 5.2), or by a page where a browser asks."""
    app.register_error_handler(OAuthError, _refused)
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _broken)


def _error(
    code: str | None,
    description: str,
    status: int,
    counted: str | None = None,
    further: Mapping[str, object] = NOTHING_FURTHER,
) -> Response:
    """Return an error response, counted under its code unless `counted` says more to the operator."""
    count_refused(request.endpoint, counted or code)
    if is_refused_by_page():
        return error_page(code, description, status)
    return answer({"error": code, "error_description": description, **further}, status)


def _refused(error: OAuthError) -> Response:
    if not isinstance(error, AuthorizationPending):  # a device that waits as it should is refused nothing
        write_or_log_refusal(error.status, error.code, str(error))
    response = _error(error.code or "missing_token", error.description, error.status, further=error.further)
    if isinstance(error, InteractionRequired):
        response.headers["WWW-Authenticate"] = "Macaroon"
    if isinstance(error, InvalidClient):
        response.headers["WWW-Authenticate"] = f'Basic realm="{_REALM}", charset="UTF-8"'
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, MissingToken | InvalidToken | InsufficientScope | ProofRefused | NonceRequired):
        authorization = request.environ.get("HTTP_AUTHORIZATION")
        response.headers["WWW-Authenticate"] = challenge(error, realm=_REALM, authorization=authorization)
    if isinstance(error, UseDpopNonce):
        response.headers["DPoP-Nonce"] = error.nonce
    return response


def _unavailable(error: Unavailable) -> Response:
    if isinstance(error, ServerMisconfigured):
        say_once(log, f"no client certificate reaches the service, because {error}{_BEHIND_A_PROXY}")
        return _error(error.code, error.description, error.status)
    log.error("unavailable %s: %s", printable(request.path), error)
    counted = "proxy_misconfigured" if isinstance(error, ProxyMisconfigured) else error.code
    response = _error(error.code, error.description, error.status, counted)
    response.headers["Retry-After"] = _RETRY_SECONDS
    return response


def _http_error(error: HTTPException) -> Response:
    """Return the response to an error of Flask itself (404, 405, 413 ...), with its headers such as Allow."""
    status = error.code or 500
    code = _CODES.get(status, "server_error" if status >= 500 else "invalid_request")
    if 400 <= status < 500:
        write_or_log_refusal(status, code, error.name)
    response = _error(code, _words_of(error), status)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _words_of(error: HTTPException) -> str:
    """Return the problem and the remedy, or the name of the status."""
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        methods = [name for name in sorted(error.valid_methods) if name not in ("HEAD", "OPTIONS")]
        return f"the method is not allowed here: send {' or '.join(methods)}"
    if isinstance(error, NotFound):
        return "this path is unknown: find the endpoints in the metadata document (RFC 8414)"
    if isinstance(error, RequestEntityTooLarge):
        return "the body is too large: send less"
    return error.name


def _broken(error: Exception) -> Response:
    """Return the response to a defect of ours; only the log gets its traceback."""
    log.error("defect at %s", printable(request.path), exc_info=error)
    return _error("server_error", "the service has failed: its operator finds the reason in the log", 500)
