"""The same application in every framework: each view tells whom the guard let in, and to which path."""

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from macaroon_cbat import Principal
from macaroon_cbat.resource import asgi, starlette, wsgi
from tests.support import django_project
from tests.support.guarded_app import METHODS, make_app
from tests.support.tokens import KEYS, NOW

SCOPES = {"/open": "", "/invoices": "read", "/both": "read write", "/root": "root"}


def settings_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a guard with the honest issuer's keys and clock, changed as told."""
    return {"clock": lambda: NOW, **({} if "verifier" in settings else {"keys": KEYS}), **settings}


def shown(principal: Principal) -> dict[str, Any]:
    return {"client": principal.client_id, "scope": sorted(principal.scope)}


def flask_application(**settings: Any) -> Callable[..., Any]:
    return make_app(**settings).wsgi_app


def wsgi_application(**settings: Any) -> Callable[..., Any]:
    guard = wsgi.Guard(**settings_of(settings))

    def view(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        body = json.dumps(shown(environ[wsgi.PRINCIPAL])).encode()
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    views = {path: guard.require(scope)(view) for path, scope in SCOPES.items()}
    files = guard.require("read")(view)

    def app(environ: Any, start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        found = files if path.startswith("/files/") else views.get(path, guard.document)
        return found(environ, start_response)

    return app


def asgi_application(**settings: Any) -> Callable[..., Any]:
    guard = asgi.Guard(**settings_of(settings))

    async def view(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(shown(scope[asgi.PRINCIPAL])).encode()})

    views = {path: guard.require(scope)(view) for path, scope in SCOPES.items()}
    files = guard.require("read")(view)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].removeprefix(scope["root_path"])
        found = files if path.startswith("/files/") else views.get(path, guard.document)
        await found(scope, receive, send)

    return app


def websocket_application(**settings: Any) -> Callable[..., Any]:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": scope[asgi.PRINCIPAL].client_id})
        await send({"type": "websocket.close"})

    return asgi.Guard(**settings_of(settings)).require("read")(view)


def starlette_application(**settings: Any) -> Starlette:
    guard = starlette.Guard(**settings_of(settings))

    def endpoint(requirement: Any) -> Callable[..., Any]:
        async def view(request: Request) -> JSONResponse:
            return JSONResponse(shown(await requirement(request)))

        return view

    views = {**SCOPES, "/files/{rest:path}": "read"}
    app = Starlette(
        routes=[Route(path, endpoint(guard.require(scope)), methods=METHODS) for path, scope in views.items()]
    )
    guard.init_app(app)
    return app


def fastapi_application(**settings: Any) -> FastAPI:
    app = FastAPI()
    guard = starlette.Guard(app, **settings_of(settings))

    def endpoint(scope: str) -> Callable[..., Any]:
        async def view(principal: Annotated[Principal, Depends(guard.require(scope))]) -> dict[str, Any]:
            return shown(principal)

        return view

    for path, scope in {**SCOPES, "/files/{rest:path}": "read"}.items():
        app.add_api_route(path, endpoint(scope), methods=METHODS, include_in_schema=path == "/invoices")
    return app


def django_wsgi_application(**settings: Any) -> Callable[..., Any]:
    return django_project.wsgi_application(settings_of(settings))


def django_asgi_application(**settings: Any) -> Callable[..., Any]:
    return django_project.asgi_application(settings_of(settings))
