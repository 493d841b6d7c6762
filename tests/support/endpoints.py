"""Endpoints of Starlette and FastAPI that write down that they ran, and what adds them to an application."""

from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.routing import APIRoute
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Match, Router

from macaroon_cbat.resource.starlette import Guard
from tests.support.adapters import Asked, messages_of, scope_of, through_asgi
from tests.support.guarded_app import bound
from tests.support.tokens import KEYS, NOW

SETTINGS: dict[str, Any] = {"keys": KEYS, "clock": lambda: NOW, "default": "deny", "public": ["/open"]}
TOKEN = ("Authorization", f"Bearer {bound(scope='read')}")
HOST = ("Host", "api.example")
Ran = list[str]
Build = Callable[[Any, Guard, Ran], Any]


def plain(ran: Ran) -> Any:
    """Return an endpoint of Starlette's that nothing guards."""

    async def endpoint(*_: Any) -> PlainTextResponse:
        ran.append("endpoint")
        return PlainTextResponse("ran", background=BackgroundTask(ran.append, "task"))

    return endpoint


def socket(ran: Ran) -> Any:
    async def endpoint(connection: Any) -> None:
        ran.append("endpoint")
        await connection.accept()

    return endpoint


def simple(ran: Ran) -> Any:
    """Return an endpoint of FastAPI's that takes nothing, and runs in a thread."""

    def endpoint() -> str:
        ran.append("endpoint")
        return "ran"

    return endpoint


def page(ran: Ran) -> Any:
    """Return a class-based endpoint."""

    async def get(self: Any, request: Any) -> PlainTextResponse:
        return await plain(ran)(request)  # type: ignore[no-any-return]

    return type("Page", (HTTPEndpoint,), {"get": get})


def live(ran: Ran) -> Any:
    """Return a class-based WebSocket endpoint."""

    async def dispatch(self: Any) -> None:
        await socket(ran)(WebSocket(self.scope, self.receive, self.send))

    return type("Live", (WebSocketEndpoint,), {"dispatch": dispatch})


def raw(ran: Ran) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        ran.append("endpoint")
        await PlainTextResponse("ran")(scope, receive, send)

    return app


def asgi_object(ran: Ran) -> Any:
    """Return an ASGI application that is no function."""
    return type("App", (), {"__call__": staticmethod(raw(ran))})()


def included(ran: Ran, *inner: Any, outer: Any = ()) -> APIRouter:
    """Return a router in a router, with dependencies of both."""
    deep = APIRouter(dependencies=list(inner))
    deep.add_api_route("/x", simple(ran))
    deep.add_api_websocket_route("/x", socket_of_fastapi(ran))
    middle = APIRouter()
    middle.include_router(deep, prefix="", dependencies=list(outer))
    return middle


def socket_of_fastapi(ran: Ran) -> Any:
    async def endpoint(connection: WebSocket) -> None:
        await socket(ran)(connection)

    return endpoint


class OwnRoute(BaseRoute):
    """A route that routes by rules of its own."""

    def __init__(self, app: Any, match: Match = Match.FULL) -> None:
        self.app, self.match = app, match

    def matches(self, scope: Any) -> tuple[Match, Any]:
        """Match everything."""
        return self.match, {}

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the application."""
        await self.app(scope, receive, send)


class OwnHandling(APIRoute):
    """A route of FastAPI's that answers without the dependencies."""

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the endpoint alone."""
        await PlainTextResponse(self.endpoint())(scope, receive, send)


class OwnRouter(Router):
    """A router that asks its routes for nothing."""

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the first endpoint."""
        await self.routes[0].endpoint(scope, receive, send)  # type: ignore[attr-defined]


def required_by(guard: Guard) -> Any:
    return Depends(guard.require("read"))


def another_guard() -> Guard:
    return Guard(keys=KEYS, clock=lambda: NOW)


def add(route: Callable[[Guard, Ran], Any]) -> Build:
    """Return what adds a route of Starlette's."""
    return lambda app, guard, ran: app.router.routes.append(route(guard, ran))


def api(**more: Callable[[Guard], Any]) -> Build:
    """Return what adds an endpoint of FastAPI's."""
    return lambda app, guard, ran: app.add_api_route(
        "/x", simple(ran), **{name: value(guard) for name, value in more.items()}
    )


def copy_of_guarded(guard: Guard, ran: Ran) -> Any:
    return wraps(guard.endpoint("read")(plain(ran)))(plain(ran))


def asks_itself(guard: Guard, ran: Ran) -> Any:
    async def endpoint(request: Any) -> Any:
        ran.append("endpoint")
        await guard.require("read")(request)
        return PlainTextResponse("ran")

    return endpoint


def hidden_dependency(guard: Guard) -> Any:
    async def user(connection: HTTPConnection) -> Any:
        return await guard.require("read")(connection)

    return [Depends(user)]


def user_dependency(guard: Guard) -> Any:
    def user(principal: Annotated[Any, required_by(guard)]) -> Any:
        return principal

    return user


def app_of(ran: Ran, **settings: Any) -> FastAPI:
    inner = FastAPI(**settings)
    inner.add_api_route("/x", simple(ran))
    return inner


def awaiting(ran: Ran) -> Any:
    """Return a class that runs while it is made, and when it is awaited, without a dispatch."""

    def made(self: Any, *given: Any) -> None:
        ran.append("endpoint")
        self.given = given

    def awaited(self: Any) -> Any:
        return PlainTextResponse("ran")(*self.given).__await__()

    return type("Awaiting", (HTTPEndpoint,), {"__init__": made, "__await__": awaited})


def application(build: Build, ran: Ran) -> FastAPI:
    app = FastAPI()
    build(app, Guard(app, **SETTINGS), ran)
    return app


def status(app: Any, *headers: Any, path: str = "/x", method: str = "GET") -> int:
    return through_asgi(app, Asked(path, method=method, headers=(HOST, *headers))).status


def shaken(app: Any, *headers: Any) -> str:
    return str(messages_of(app, scope_of(Asked("/x", headers=(HOST, *headers)), "websocket"))[0]["type"])
