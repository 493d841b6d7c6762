"""Routes of Starlette and FastAPI under a guard that denies by default, as routers choose them."""

import asyncio
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from macaroon_cbat.resource.starlette import Guard
from tests.support.endpoints import (
    SETTINGS,
    TOKEN,
    Ran,
    app_of,
    included,
    plain,
    raw,
    required_by,
    simple,
    status,
)


def test_routes_that_come_late():
    """A route that is added while the application serves is judged like one before it."""
    ran: Ran = []
    app = FastAPI()
    guard = Guard(app, **SETTINGS)
    assert status(app, TOKEN) == 404
    app.add_api_route("/x", simple(ran))
    assert (status(app, TOKEN), ran) == (403, [])
    app.add_api_route("/y", simple(ran), dependencies=[required_by(guard)])
    assert (status(app, TOKEN, path="/y"), ran) == (200, ["endpoint"])


def test_the_first_route_counts():
    """Of two routes with one path the one that runs is judged; a method without a route is 405."""
    ran: Ran = []
    app = FastAPI()
    guard = Guard(app, **SETTINGS)
    app.add_api_route("/x", simple(ran), methods=["POST"])
    app.add_api_route("/x", simple(ran), methods=["GET"], dependencies=[required_by(guard)])
    app.add_api_route("/x", simple(ran), methods=["GET"])
    found = [status(app, TOKEN, method=method) for method in ("POST", "DELETE", "GET")]
    assert (found, ran) == ([403, 405, 200], ["endpoint"])


def test_a_redirect_to_the_slash_runs_nothing():
    """The router's redirect to a forgotten endpoint is for valid tokens, and the endpoint is refused."""
    ran: Ran = []
    app = FastAPI()
    Guard(app, **SETTINGS)
    app.add_api_route("/x/", simple(ran))
    assert [status(app), status(app, TOKEN), status(app, TOKEN, path="/x/")] == [401, 307, 403]
    assert ran == []


def test_mounts_of_an_included_router():
    """A mount of an included router is judged as one of the application is."""
    ran: Ran = []
    app = FastAPI()
    guard = Guard(app, **SETTINGS)
    required = Route("/z", guard.endpoint("read")(plain(ran)))
    app.include_router(
        APIRouter(routes=[Mount("/x", raw(ran)), Mount("/y", routes=[required])]), prefix="/v1"
    )
    paths = ("/v1/x/z", "/v1/y/nowhere", "/v1/y/z")
    assert ([status(app, TOKEN, path=path) for path in paths], ran[:1]) == ([403, 404, 200], ["endpoint"])


def test_static_files_are_not_read(tmp_path: Any):
    """Mounted static files are forgotten until their prefix is public."""
    (tmp_path / "a.css").write_text("a {}")
    for public, expected in ((["/open"], 403), (["/static/*"], 200)):
        app = Starlette(routes=[Mount("/static", StaticFiles(directory=tmp_path))])
        Guard(app, **SETTINGS | {"public": public})
        assert status(app, TOKEN, path="/static/a.css") == expected


@pytest.mark.parametrize("is_included", [False, True], ids=["own", "included"])
def test_a_frontend_is_judged_by_its_dependencies(tmp_path: Any, is_included: bool):  # noqa: FBT001
    """FastAPI's static frontend is forgotten without the guard, and asks for the scope under it."""
    (tmp_path / "index.html").write_text("ran")
    for is_guarded, expected in ((False, 403), (True, 200)):
        app = FastAPI()
        guard = Guard(app, **SETTINGS)
        router = APIRouter(dependencies=[required_by(guard)] if is_guarded else [])
        router.frontend("/front", directory=tmp_path)
        app.include_router(router) if is_included else app.router.routes.extend([Mount("/", router)])
        assert status(app, path="/front/index.html") == 401
        assert status(app, TOKEN, path="/front/index.html") == expected


class Rewriting:
    """A middleware that serves another path than the one that the guard judged, in a scope of its own."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve /x."""
        await self.app({**scope, "path": "/x", "raw_path": b"/x"}, receive, send)


def test_a_middleware_that_rewrites_the_path_opens_nothing():
    """Behind a public path no other one is reached, with a valid token or without."""
    ran: Ran = []
    app = FastAPI(middleware=[Middleware(Rewriting)])
    Guard(app, **SETTINGS)
    app.add_api_route("/x", simple(ran))
    assert [status(app, *one, path="/open") for one in ((), (TOKEN,))] == [403, 403]
    assert ran == []


def test_an_override_is_for_valid_tokens():
    """`dependency_overrides` works for valid tokens of any scope; without one it is 401."""
    ran: Ran = []
    app = FastAPI()
    guard = Guard(app, **SETTINGS)

    async def user(principal: Annotated[Any, Depends(guard.require("admin"))]) -> Any:
        return principal

    @app.get("/x")
    async def endpoint(user: Annotated[str, Depends(user)]) -> str:
        ran.append(user)
        return user

    app.add_api_route("/forgotten", simple(ran))
    assert (status(app, TOKEN), ran) == (403, [])
    for overridden in (guard.require("admin"), user):
        app.dependency_overrides = {overridden: lambda: "a fake"}
        assert (status(app), status(app, TOKEN)) == (401, 200)
        assert status(app, TOKEN, path="/forgotten") == 403
    assert ran == ["a fake", "a fake"]


async def started(app: Any) -> None:
    """Start and stop the application as a server does."""
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> dict[str, str]:
        return next(messages)

    async def send(_: Any) -> None:
        return None

    await app({"type": "lifespan", "state": {}}, receive, send)


def test_the_start_names_what_no_token_reaches(caplog: Any):
    """The start leaves one line with the endpoints that are neither guarded nor public."""
    ran: Ran = []
    app = FastAPI(openapi_url=None)
    guard = Guard(app, **SETTINGS)
    for path, dependencies in (("/open", []), ("/a", []), ("/required", [required_by(guard)])):
        app.add_api_route(path, simple(ran), dependencies=dependencies)
    app.include_router(included(ran), prefix="/b")
    app.include_router(included(ran), prefix="/c", dependencies=[required_by(guard)])
    app.mount("/raw", raw(ran))
    app.mount("/sub", app_of(ran, openapi_url=None))
    asyncio.run(started(app))
    [line] = [one for one in caplog.messages if one.startswith("refused to every token")]
    assert line.startswith("refused to every token are /a, /b/x, /raw/*, /sub/x, neither under require(...)")
