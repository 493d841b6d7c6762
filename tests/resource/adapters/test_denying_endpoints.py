"""Starlette and FastAPI guards that deny by default: a forgotten endpoint runs for no token."""

from functools import partial

import pytest
from fastapi import APIRouter, Depends, Security
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Host, Match, Mount, Route, Router, WebSocketRoute

from tests.support.endpoints import (
    TOKEN,
    Build,
    OwnHandling,
    OwnRoute,
    OwnRouter,
    Ran,
    add,
    another_guard,
    api,
    app_of,
    application,
    asgi_object,
    asks_itself,
    awaiting,
    copy_of_guarded,
    hidden_dependency,
    included,
    live,
    page,
    plain,
    raw,
    required_by,
    shaken,
    simple,
    socket,
    socket_of_fastapi,
    status,
    user_dependency,
)
from tests.support.guarded_app import METHODS, bound

FORGOTTEN: dict[str, Build] = {
    "FastAPI": api(),
    "FastAPI, another guard's dependency": api(dependencies=lambda _: [required_by(another_guard())]),
    "FastAPI, a dependency that awaits the guard": api(dependencies=hidden_dependency),
    "FastAPI, a route class of its own": lambda app, _, ran: app.router.routes.append(
        OwnHandling("/x", simple(ran))
    ),
    "the same with a dependency": lambda app, guard, ran: app.router.routes.append(
        OwnHandling("/x", simple(ran), dependencies=[required_by(guard)])
    ),
    "the same, included": lambda app, guard, ran: app.include_router(
        APIRouter(routes=[OwnHandling("/x", simple(ran), dependencies=[required_by(guard)])])
    ),
    "included routers": lambda app, _, ran: app.include_router(included(ran)),
    "an included route of Starlette's": lambda app, _, ran: app.include_router(
        APIRouter(routes=[Route("/x", plain(ran))])
    ),
    "a host of an included router": lambda app, _, ran: app.include_router(
        APIRouter(routes=[Host("api.example", raw(ran))])
    ),
    "a mounted FastAPI": lambda app, _, ran: app.mount("/", app_of(ran)),
    "a mounted FastAPI with a root_path": lambda app, _, ran: app.mount("", app_of(ran, root_path="")),
    "a route": add(lambda _, ran: Route("/x", plain(ran), methods=METHODS)),
    "a partial": add(lambda _, ran: Route("/x", partial(plain(ran), 1))),
    "a class": add(lambda _, ran: Route("/x", page(ran))),
    "an ASGI application as an endpoint": add(lambda _, ran: Route("/x", type("App", (), {
        "__call__": staticmethod(raw(ran))})())),
    "a copy of a guarded endpoint": add(lambda guard, ran: Route("/x", copy_of_guarded(guard, ran))),
    "a class that runs when it is awaited": add(lambda _, ran: Route("/x", awaiting(ran))),
    "another guard's endpoint": add(lambda _, ran: Route("/x", another_guard().endpoint("read")(plain(ran)))),
    "an endpoint that asks after it began": add(lambda guard, ran: Route("/x", asks_itself(guard, ran))),
    "a mount": add(lambda _, ran: Mount("/", routes=[Route("/x", plain(ran))])),
    "a mounted ASGI application": add(lambda _, ran: Mount("/", raw(ran))),
    "a mounted Starlette": add(lambda _, ran: Mount("/", Starlette(routes=[Route("/x", plain(ran))]))),
    "a host": add(lambda _, ran: Host("api.example", Router([Route("/x", plain(ran))]))),
    "a host's ASGI application": add(lambda _, ran: Host("{any}.example", raw(ran))),
    "a route of its own kind": add(lambda _, ran: OwnRoute(raw(ran))),
    "the same, without the method": add(lambda _, ran: OwnRoute(raw(ran), Match.PARTIAL)),
    "a router of its own kind": add(lambda guard, ran: Mount(
        "/", OwnRouter([Route("/x", raw(ran)), Route("/x", guard.endpoint("read")(plain(ran)))])
    )),
    "a router's default": add(lambda _, ran: Mount("/", Router(default=raw(ran)))),
    "the application's default": lambda app, _, ran: setattr(app.router, "default", raw(ran)),
}  # fmt: skip
GUARDED: dict[str, Build] = {
    "FastAPI, a dependency": api(dependencies=lambda guard: [required_by(guard)]),
    "FastAPI, Security": api(dependencies=lambda guard: [Security(guard.require("read"), scopes=["x"])]),
    "FastAPI, a dependency below": api(
        dependencies=lambda guard: [Depends(user_dependency(guard))]
    ),
    "an included router": lambda app, guard, ran: app.include_router(included(ran, required_by(guard))),
    "an inclusion": lambda app, guard, ran: app.include_router(included(ran, outer=[required_by(guard)])),
    "an inclusion in the application": lambda app, guard, ran: app.include_router(
        included(ran), dependencies=[required_by(guard)]
    ),
    "the router": lambda app, guard, ran: (
        app.router.dependencies.append(required_by(guard)), app.add_api_route("/x", simple(ran))
    ),
    "an included route of Starlette's": lambda app, guard, ran: app.include_router(
        APIRouter(routes=[Route("/x", guard.endpoint("read")(plain(ran)))])
    ),
    "a mounted FastAPI": lambda app, guard, ran: app.mount(
        "/", app_of(ran, dependencies=[required_by(guard)])
    ),
    "an endpoint": add(lambda guard, ran: Route("/x", guard.endpoint("read")(plain(ran)))),
    "a class": add(lambda guard, ran: Route("/x", guard.endpoint("read")(page(ran)))),
    "a class that runs when it is awaited": add(
        lambda guard, ran: Route("/x", guard.endpoint("read")(awaiting(ran)))
    ),
    "a partial": add(lambda guard, ran: Route("/x", guard.endpoint("read")(partial(plain(ran), 1)))),
    "a mounted application": add(lambda guard, ran: Mount("/", guard.endpoint("read")(asgi_object(ran)))),
    "a method": add(lambda guard, ran: Route("/x", type("Views", (), {
        "one": guard.endpoint("read")(plain(ran))})().one)),
    "a mount with middleware": add(lambda guard, ran: Mount("/", routes=[
        Route("/x", guard.endpoint("read")(plain(ran)), middleware=[Middleware(lambda app: app)])
    ])),
    "a mounted Starlette": add(lambda guard, ran: Mount("/", Starlette(routes=[
        Route("/x", guard.endpoint("read")(plain(ran)))]))),
    "a host": add(lambda guard, ran: Host("api.example", Router([
        Route("/x", guard.endpoint("read")(plain(ran)))]))),
}  # fmt: skip


@pytest.mark.parametrize("build", FORGOTTEN.values(), ids=FORGOTTEN)
def test_a_forgotten_endpoint_does_not_run(build: Build):
    """An endpoint neither under the guard nor public is refused before it runs, whatever leads to it."""
    ran: Ran = []
    app = application(build, ran)
    assert (status(app), status(app, TOKEN)) == (401, 403)
    assert ran == []


@pytest.mark.parametrize("build", GUARDED.values(), ids=GUARDED)
def test_a_guarded_endpoint_runs(build: Build):
    """An endpoint under the guard runs for a token with the scope, and for no other."""
    ran: Ran = []
    app = application(build, ran)
    without = ("Authorization", f"Bearer {bound(scope='write')}")
    assert (status(app), status(app, without), ran) == (401, 403, [])
    assert (status(app, TOKEN), ran[:1]) == (200, ["endpoint"])


@pytest.mark.parametrize("method", METHODS)
def test_no_method_runs_a_forgotten_endpoint(method: str):
    """HEAD, OPTIONS and the rest run no forgotten endpoint."""
    ran: Ran = []
    app = application(FORGOTTEN["a route"], ran)
    assert (status(app, TOKEN, method=method), ran) == (403, [])


SOCKETS: dict[str, tuple[Build, str]] = {
    "FastAPI": (lambda app, _, ran: app.add_api_websocket_route("/x", socket_of_fastapi(ran)), "close"),
    "included": (lambda app, _, ran: app.include_router(included(ran)), "close"),
    "a route": (add(lambda _, ran: WebSocketRoute("/x", socket(ran))), "close"),
    "a class": (add(lambda _, ran: WebSocketRoute("/x", live(ran))), "close"),
    "mounted": (add(lambda _, ran: Mount("/", raw(ran))), "close"),
    "included and guarded": (
        lambda app, guard, ran: app.include_router(included(ran, required_by(guard))), "accept"
    ),
    "a guarded route": (
        add(lambda guard, ran: WebSocketRoute("/x", guard.endpoint("read")(socket(ran)))), "accept"
    ),
    "a guarded class": (
        add(lambda guard, ran: WebSocketRoute("/x", guard.endpoint("read")(live(ran)))),
        "accept",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("build", "kind"), SOCKETS.values(), ids=SOCKETS)
def test_a_forgotten_websocket_does_not_run(build: Build, kind: str):
    """A WebSocket endpoint runs under the guard alone."""
    ran: Ran = []
    app = application(build, ran)
    assert (shaken(app), ran) == ("websocket.close", [])
    assert (shaken(app, TOKEN), ran) == (f"websocket.{kind}", ["endpoint"] * (kind == "accept"))
