"""Routes that answer with pages, and the choice between a page and JSON."""

from functools import wraps
from typing import Any, Literal

from flask import Flask, Request, Response, current_app, request
from flask.typing import RouteCallable
from werkzeug.exceptions import MethodNotAllowed

from macaroon_cbat.service.pages.rendering import home_url, page, page_routes

_PAGE_TYPES = ("text/html", "application/xhtml+xml")
_TITLES = {
    400: "This request cannot be understood",
    401: "Please sign in",
    403: "This is not allowed",
    404: "There is no page here",
    405: "This address takes other requests",
    413: "This request is too large",
    429: "Too many tries",
    503: "Not available at the moment",
}


def add_page(
    app: Flask,
    method: Literal["GET", "POST"],
    path: str,
    view: RouteCallable,
    root_path: str,
    *,
    label: str,
) -> None:
    """Route a method of a path to a view that answers with a page; the OpenAPI document leaves pages out.

    `label` names the route in metrics and audit lines. A refusal is a page as well, for a browser.
    """
    app.add_url_rule(root_path + path, label, view, methods=[method])
    page_routes(app).add(label)


def get_alone(view: Any, *arguments: object) -> Any:
    """Return the view, with its arguments, of a page that uses up what it is sent: without Flask's HEAD.

    A HEAD request, as programs that check links send it, must change nothing (RFC 9110 9.2.1).
    """

    @wraps(view)
    def guarded() -> Any:
        if request.method != "GET":
            raise MethodNotAllowed(["GET"])
        return view(*arguments)

    return guarded


def prefers_page(request: Request) -> bool:
    """Return True if the request names HTML as what it accepts, and JSON no more than that."""
    accepted = request.accept_mimetypes
    is_named = any(kind.lower() in _PAGE_TYPES and quality > 0 for kind, quality in accepted)
    return is_named and accepted["text/html"] >= accepted["application/json"]


def is_refused_by_page() -> bool:
    """Return True if a refusal of the request at hand is for a person to read: a browser asks.

    The endpoints of the API answer programs in JSON, whatever they accept: some name HTML by default.
    """
    if not prefers_page(request):
        return False
    if request.endpoint in page_routes(current_app):
        return True
    return request.method in ("GET", "HEAD") and "Authorization" not in request.headers


def error_page(code: str | None, description: str, status: int) -> Response:
    """Return the page about an error; `description` is what the client may learn of it."""
    title = _TITLES.get(status, "The service has failed" if status >= 500 else "This request was refused")
    sentence = description[:1].upper() + description[1:].removesuffix(".") + "."
    content = {"title": title, "description": sentence, "code": code, "status": status, "home": home_url()}
    return page("error.html", content, status=status)
