"""Guards that deny by default around and within ASGI and WSGI applications."""

import logging
from typing import Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.resource import asgi, starlette, wsgi
from tests.support.adapters import Asked, messages_of, scope_of, through_asgi, through_wsgi
from tests.support.guarded_app import WELL_KNOWN, bound
from tests.support.tokens import KEYS, NOW

SETTINGS: dict[str, Any] = {"keys": KEYS, "clock": lambda: NOW}
DENY: dict[str, Any] = {**SETTINGS, "default": "deny"}
DENIAL = {"websocket.http.response": {}}


def bearer(text: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {text}"


def statuses(app: Any, path: str) -> tuple[int, int]:
    """Return the status of a request without a token, and of one with a valid one."""
    return through_asgi(app, Asked(path)).status, through_asgi(
        app, Asked(path, headers=(bearer(bound()),))
    ).status


async def shows_principal(scope: Any, receive: Any, send: Any) -> None:
    assert asgi.PRINCIPAL not in scope
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ran"})


def shows_none(environ: Any, start_response: Any) -> list[bytes]:
    assert wsgi.PRINCIPAL not in environ
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ran"]


AROUND = {
    "ASGI": (asgi.Guard, shows_principal, through_asgi, asgi.PRINCIPAL),
    "WSGI": (wsgi.Guard, shows_none, through_wsgi, wsgi.PRINCIPAL),
}
CLOSED = ["/", "/health/", "//health", "/health/../x", "/static", "/static/%2e%2e/x", "/static/..%2fx", "/x"]


@pytest.mark.parametrize(("guard", "app", "send", "key"), AROUND.values(), ids=AROUND)
def test_a_guard_around_an_application_leaves_public_paths_open(guard, app, send, key):
    """Public paths reach the application without a principal, whatever stands in scope or environment."""
    guarded = guard(**SETTINGS, public=["/health", "/static/*"]).require("read")(app)
    for path in ("/health", "/static/", "/static/a.css"):
        assert send(guarded, Asked(path, shown={key: "a principal from outside"})).body == b"ran"
    assert [send(guarded, Asked(path)).status for path in CLOSED] == [401] * len(CLOSED)
    override = (("X-Original-URL", "/x"),)
    assert send(guarded, Asked("/health", headers=override)).status == 401


@pytest.mark.parametrize(("guard", "app", "send", "key"), AROUND.values(), ids=AROUND)
def test_a_guard_around_an_application_has_no_other_default(guard, app, send, key, caplog):
    """Around a whole application there is nothing to allow; what is open is listed where it was asked for."""
    with pytest.raises(SettingsError, match="default='allow' is not for"):
        guard(**SETTINGS, default="allow")
    with pytest.raises(SettingsError, match="write 'deny' or 'allow'"):
        guard(**SETTINGS, default="dney")
    caplog.set_level(logging.INFO, "macaroon_cbat.resource")
    guard(**SETTINGS)
    assert caplog.messages == []
    guard(**DENY, public=["/health"])
    assert caplog.messages == [f"open without a token: /health, {WELL_KNOWN}; all else needs a token"]


def test_a_websocket_of_a_public_path():
    """A handshake on a public path is open as a request is, and on no other."""

    async def accepting(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    app = asgi.Guard(**SETTINGS, public=["/live"]).require()(accepting)
    for path, kind in (("/live", "websocket.accept"), ("/other", "websocket.close")):
        assert messages_of(app, scope_of(Asked(path), "websocket"))[0]["type"] == kind


def sockets() -> FastAPI:
    app = FastAPI()
    guard = starlette.Guard(app, **DENY, public=["/open"])

    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("ran")

    app.add_api_websocket_route("/open", endpoint)
    app.add_api_websocket_route("/forgotten", endpoint)
    app.add_api_websocket_route("/required", endpoint, dependencies=[Depends(guard.require("read"))])
    return app


SHAKEN = {
    "public": ("/open", (), "websocket.accept", None),
    "forgotten, no token": ("/forgotten", (), "websocket.http.response.start", 401),
    "forgotten": ("/forgotten", (bearer(bound()),), "websocket.http.response.start", 403),
    "required, no token": ("/required", (), "websocket.http.response.start", 401),
    "required": ("/required", (bearer(bound()),), "websocket.accept", None),
    "nowhere": ("/nowhere", (), "websocket.http.response.start", 401),
}


@pytest.mark.parametrize(("path", "headers", "kind", "status"), SHAKEN.values(), ids=SHAKEN)
def test_websockets_are_denied_alike(path, headers, kind, status):
    """No message of a WebSocket endpoint leaves that did not ask the guard."""
    scope = scope_of(Asked(path, headers=headers), "websocket")
    scope["extensions"] |= DENIAL
    first, *rest = messages_of(sockets(), scope)
    assert (first["type"], first.get("status")) == (kind, status)
    assert [one["text"] for one in rest if one["type"] == "websocket.send"] == ["ran"] * (status is None)


def test_mounted_applications_are_denied(tmp_path):
    """A mounted application, static files included, is denied as routes are; 404 is for valid tokens."""
    (tmp_path / "a.css").write_text("a {}")
    inner = Starlette(routes=[Route("/forgotten", lambda _: PlainTextResponse("ran"))])
    app = Starlette(routes=[Mount("/v1", inner), Mount("/static", StaticFiles(directory=tmp_path))])
    starlette.Guard(app, **DENY)
    for path in ("/v1/forgotten", "/static/a.css", "/static/b.css"):
        assert statuses(app, path) == (401, 403)
    assert statuses(app, "/v1/nowhere") == (401, 404)


def test_routes_may_come_after_the_guard():
    """An endpoint that is added after the guard, or to FastAPI by itself, is denied."""
    app = FastAPI()
    starlette.Guard(app, **DENY)
    app.add_api_route("/forgotten", lambda: "ran")
    for path in ("/forgotten", "/docs", "/openapi.json"):
        assert statuses(app, path) == (401, 403)


def test_a_middleware_that_copies_the_scope_opens_nothing():
    """A forgotten endpoint's answer is withheld even where a middleware hides which one ran."""
    app = FastAPI()

    class Copying:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(dict(scope), receive, send)

    app.add_middleware(Copying)
    guard = starlette.Guard(app, **DENY)
    app.add_api_route("/forgotten", lambda: "ran")
    app.add_api_route("/required", lambda: "ran", dependencies=[Depends(guard.require("read"))])
    assert statuses(app, "/forgotten") == (401, 403)
    assert statuses(app, "/required") == (401, 200)


def test_a_middleware_behind_the_guard_answers_no_stranger():
    """A middleware that answers by itself does so for no client without a token, and not for a valid one."""
    app = FastAPI()
    ran = []

    async def answers(request: Any, call_next: Any) -> PlainTextResponse:
        ran.append(request.url.path)
        return PlainTextResponse("ran")

    app.add_middleware(BaseHTTPMiddleware, dispatch=answers)
    starlette.Guard(app, **DENY)
    assert statuses(app, "/anything") == (401, 403)
    assert ran == ["/anything"]


def test_a_page_for_404_is_for_valid_tokens():
    """The application's own page for 404 is shown to admitted requests alone."""
    app = FastAPI(exception_handlers={404: lambda *_: PlainTextResponse("my page", 404)})
    starlette.Guard(app, **DENY)
    assert statuses(app, "/nowhere") == (401, 404)


def test_lifespan_is_passed_through():
    """Start-up and shut-down are no requests."""
    started = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        started.append(scope["type"])

    whole = Starlette()
    starlette.Guard(whole, **DENY)
    whole.router.lifespan = app  # type: ignore[assignment, method-assign]
    messages_of(whole, {"type": "lifespan"})
    messages_of(asgi.Guard(**DENY).require()(app), {"type": "lifespan"})
    assert started == ["lifespan", "lifespan"]


@pytest.mark.parametrize("kind", ["webtransport", "email", ""])
def test_an_unknown_scope_is_never_passed_through(kind):
    """An ASGI scope that the guard cannot judge does not reach an application that denies."""
    app = Starlette()
    starlette.Guard(app, **DENY)
    with pytest.raises(RuntimeError, match="no ASGI scope"):
        messages_of(app, {"type": kind, "headers": [], "path": "/"})


def test_an_admission_from_outside_does_not_count():
    """A verdict that stands in the scope already is not believed."""
    app = FastAPI()
    guard = starlette.Guard(app, **DENY)
    app.add_api_route("/required", lambda: "ran", dependencies=[Depends(guard.require("read"))])
    scope = scope_of(Asked("/required")) | {"macaroon_cbat.admitted": "yes", "macaroon_cbat.judged": ["yes"]}
    assert messages_of(app, scope)[0]["status"] == 401
