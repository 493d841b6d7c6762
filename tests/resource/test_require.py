import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, Response, make_response
from flask.views import MethodView

from macaroon_cbat import Scope
from macaroon_cbat.resource import Guard, current_principal
from tests.support.guarded_app import METHODS, bound, call
from tests.support.tokens import KEYS, NOW

ENOUGH = {
    "no scope is required": ("/open", "admin"),
    "the one scope that is required": ("/invoices", "read"),
    "more than is required": ("/invoices", "read write"),
    "both that are required": ("/both", "read write"),
    "both in the other order": ("/both", "write read"),
}
TOO_LITTLE = {
    "another scope": ("/invoices", "write"),
    "one of two": ("/both", "read"),
    "the other of two": ("/both", "write"),
    "a longer one": ("/invoices", "read-all"),
    "the same in other letters": ("/invoices", "READ"),
    "none that the token ever had": ("/root", "read write admin"),
}


@pytest.mark.parametrize(("path", "scope"), ENOUGH.values(), ids=ENOUGH)
def test_enough_scope_passes(app: Flask, path: str, scope: str):
    """A token with each required scope reaches the view."""
    assert call(app, bound(scope=scope), path=path).status_code == 200


@pytest.mark.parametrize(("path", "scope"), TOO_LITTLE.values(), ids=TOO_LITTLE)
def test_too_little_scope_is_403(app: Flask, path: str, scope: str):
    """A token that lacks one required scope is 403 insufficient_scope (RFC 6750 3.1)."""
    response = call(app, bound(scope=scope), path=path)
    assert response.status_code == 403
    assert response.json is not None
    assert response.json["error"] == "insufficient_scope"


def test_a_scope_caveat_takes_scope_away(app: Flask):
    """Scope that a caveat took away is missing."""
    assert call(app, bound(Scope("write")), path="/both").status_code == 403


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_guarded(app: Flask, method: str):
    """The guard stands before the view whatever the method, POST as well as GET."""
    assert call(app, bound(), method=method).status_code == 200
    assert call(app, None, method=method).status_code == 401


def test_flask_s_own_options_answer_tells_methods_only():
    """Flask's own answer to OPTIONS runs no view and says nothing of the resource."""
    app, ran = Flask("resource"), []
    guard = Guard(app, keys=KEYS, clock=lambda: NOW)
    app.get("/invoices")(guard.require("read")(lambda: ran.append(1) or "secret"))
    response = call(app, None, method="OPTIONS")
    assert response.data == b""
    assert ran == []


class Plain(Response):
    """A response class of the application's own."""


def generated() -> Iterator[str]:
    yield from ("one", "two")


RETURNED: dict[str, tuple[Callable[[], Any], int, bytes]] = {
    "text": (lambda: "onetwo", 200, b"onetwo"),
    "bytes": (lambda: b"onetwo", 200, b"onetwo"),
    "a dict": (lambda: {"a": 1}, 200, b'{"a":1}'),
    "a list": (lambda: [1, 2], 200, b"[1,2]"),
    "a generator": (generated, 200, b"onetwo"),
    "text and status": (lambda: ("made", 201), 201, b"made"),
    "text and headers": (lambda: ("made", {"X-Own": "1"}), 200, b"made"),
    "text, status and headers": (lambda: ("made", 201, {"X-Own": "1"}), 201, b"made"),
    "a response": (lambda: make_response("made", 202), 202, b"made"),
    "a response of another class": (lambda: Plain("made", 203), 203, b"made"),
    "nothing but a status": (lambda: ("", 204), 204, b""),
    "a WSGI application": (lambda: Response("wsgi", 207).__call__, 207, b"wsgi"),
}


def returning(view: Callable[[], Any]) -> Flask:
    app = Flask("resource")
    app.json.compact = True  # type: ignore[attr-defined] # the default provider has it
    guard = Guard(app, keys=KEYS, clock=lambda: NOW)
    app.add_url_rule("/invoices", "invoices", guard.require("read")(view))
    return app


async def later() -> str:
    """Tell whom the guard let in, from a coroutine."""
    await asyncio.sleep(0)
    return current_principal.client_id


def test_an_async_view_is_guarded():
    """An async view, which Flask runs with asgiref, knows the principal and runs for no other client."""
    response = call(returning(later), bound())
    assert (response.status_code, response.data) == (200, b"billing")
    assert response.headers["Cache-Control"] == "no-store"
    assert call(returning(later), None).status_code == 401


@pytest.mark.parametrize(("view", "status", "body"), RETURNED.values(), ids=RETURNED)
def test_a_view_returns_what_views_return(view: Callable[[], Any], status: int, body: bytes):
    """A guarded view may return all that Flask takes from a view, and is 401 without a token."""
    app = returning(view)
    response = call(app, bound())
    assert (response.status_code, response.data.rstrip()) == (status, body)
    assert response.headers["Cache-Control"] == "no-store"
    assert call(app, None).status_code == 401


def test_the_view_decides_about_caching():
    """A view's own Cache-Control stays."""
    response = call(returning(lambda: ("made", {"Cache-Control": "private, max-age=60"})), bound())
    assert response.headers["Cache-Control"] == "private, max-age=60"


def test_a_failing_view_is_no_refusal():
    """An error inside the view is the view's: 500, not 401."""

    def failing() -> str:
        raise KeyError("x")

    assert call(returning(failing), bound()).status_code == 500


def test_a_method_view_is_guarded():
    """A class-based view takes the guard among its decorators."""
    app = Flask("resource")
    guard = Guard(app, keys=KEYS, clock=lambda: NOW)

    class Invoices(MethodView):
        decorators = (guard.require("read"),)

        def get(self, number: int) -> str:
            return f"invoice {number}"

    app.add_url_rule("/invoices/<int:number>", view_func=Invoices.as_view("invoices"))
    assert call(app, bound(), path="/invoices/7").data == b"invoice 7"
    assert call(app, None, path="/invoices/7").status_code == 401


def test_the_view_keeps_its_name():
    """A guarded view keeps its name, from which Flask makes the endpoint."""

    def invoices() -> str:
        """List the invoices."""
        return ""

    guarded = Guard(keys=KEYS).require("read")(invoices)
    assert (guarded.__name__, guarded.__doc__) == ("invoices", "List the invoices.")


def test_a_refused_request_never_runs_the_view():
    """A view under the guard runs for a principal with its scope alone."""
    ran: list[int] = []
    app = returning(lambda: ran.append(1) or "ran")
    for text in (None, "rubbish", bound(scope="write"), bound(exp=NOW - 30)):
        assert call(app, text).status_code in (401, 403)
    assert ran == []
