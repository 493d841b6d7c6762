"""The parts that Starlette and FastAPI alone have: dependencies, exception handlers, mounts, OpenAPI."""

import subprocess
import sys
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route

from macaroon_cbat import Principal
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.resource.starlette import Guard
from tests.support.adapters import Asked, messages_of, scope_of
from tests.support.guarded_app import THIEF, WELL_KNOWN, bound
from tests.support.starlette_calls import call, guard
from tests.support.tokens import API, KEYS


def test_a_router_may_come_before_the_application():
    """A guard is made where the routers are, and gets its application later."""
    later, router = guard(), APIRouter(prefix="/v1")

    @router.get("/invoices")
    async def invoices(principal: Annotated[Principal, Depends(later.require("read"))]) -> str:
        return principal.client_id

    app = FastAPI()
    app.include_router(router)
    later.init_app(app)
    assert call(app, bound(), path="/v1/invoices").body == b'"billing"'
    assert call(app, path="/v1/invoices").status == 401
    assert call(app, path=WELL_KNOWN).json()["scopes_supported"] == ["read"]


def test_a_guard_may_stand_before_a_whole_application():
    """As a dependency of the application or a router the guard stands before every endpoint there."""
    everywhere = guard()
    app = FastAPI(dependencies=[Depends(everywhere.require("read"))])
    everywhere.init_app(app)

    @app.get("/invoices")
    def invoices() -> str:
        return "an invoice"

    assert call(app, bound()).body == b'"an invoice"'
    assert call(app, bound(), certificate=THIEF).status == 401


def test_a_guard_that_was_never_installed_lets_no_client_in():
    """An endpoint under a guard without init_app fails instead of letting a client in."""
    app, orphan = FastAPI(), guard()

    @app.get("/invoices")
    async def invoices(principal: Annotated[Principal, Depends(orphan.require("read"))]) -> str:
        return "in"

    for text in (None, bound()):
        with pytest.raises(SettingsError, match="init_app"):
            call(app, text)


def test_one_application_has_one_guard():
    """A second guard would leave open whose metadata count."""
    app = FastAPI()
    guard(app)
    with pytest.raises(SettingsError, match="has a guard already"):
        guard(app)


@pytest.mark.parametrize("settings", [{}, {"keys": KEYS, "clock_skew": 301}, {"keys": KEYS, "kees": 1}])
def test_unusable_settings_are_refused_at_once(settings: dict[str, Any]):
    """Missing, wrong and unknown settings are settings errors where the guard is made."""
    with pytest.raises(SettingsError):
        Guard(**settings)


def test_a_mounted_application_is_guarded_too():
    """In an application that is mounted, a refusal leaves with status, challenge and Cache-Control."""
    outer = guard()

    async def invoices(request: Request) -> JSONResponse:
        return JSONResponse((await outer.require("read")(request)).client_id)

    inner = Starlette(routes=[Route("/invoices", invoices)])
    app = Starlette(routes=[Mount("/v1", inner)])
    outer.init_app(app)
    assert call(app, bound(), path="/v1/invoices").body == b'"billing"'
    refused = call(app, path="/v1/invoices")
    assert refused.status == 401
    assert (
        refused.header("WWW-Authenticate") == f'Bearer realm="{API}", resource_metadata="{API}{WELL_KNOWN}"'
    )
    assert refused.header("Cache-Control") == "no-store"


def own_handler(request: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse("go away", 401)


@pytest.mark.parametrize("caught", [401, HTTPException])
def test_a_handler_of_the_application_s_cannot_drop_the_challenge(caught: Any):
    """The challenge and Cache-Control are still there where the application answers refusals by itself."""
    app = FastAPI(exception_handlers={caught: own_handler})
    own = guard(app)

    @app.get("/invoices")
    async def invoices(principal: Annotated[Principal, Depends(own.require("read"))]) -> str:
        return "in"

    refused = call(app)
    assert refused.status == 401
    assert (refused.header("WWW-Authenticate") or "").startswith("Bearer realm=")
    assert refused.header("Cache-Control") == "no-store"


def test_an_endpoint_may_answer_a_refusal_by_itself():
    """A Starlette endpoint may have something for everybody; then no challenge goes with it."""
    public = guard()

    async def front(request: Request) -> PlainTextResponse:
        try:
            return PlainTextResponse((await public.require("read")(request)).client_id)
        except HTTPException:
            return PlainTextResponse("hello, stranger")

    app = Starlette(routes=[Route("/", front)])
    public.init_app(app)
    reply = call(app, path="/")
    assert (reply.status, reply.header("WWW-Authenticate")) == (200, None)
    assert reply.header("Cache-Control") == "no-store"
    assert call(app, bound(), path="/").body == b"billing"


def test_the_endpoint_decides_about_caching():
    """An endpoint's own Cache-Control stays; an unjudged answer gets none."""
    app = FastAPI()
    own = guard(app)

    @app.get("/invoices", dependencies=[Depends(own.require("read"))])
    async def invoices() -> JSONResponse:
        return JSONResponse(1, headers={"Cache-Control": "private"})

    @app.get("/public")
    async def public() -> int:
        return 1

    assert call(app, bound()).header("Cache-Control") == "private"
    assert call(app, path="/public").header("Cache-Control") is None


def live(**extensions: Any) -> Any:
    """Return what a guarded FastAPI WebSocket sends to a handshake with this token."""
    app = FastAPI()
    own = guard(app)

    @app.websocket("/live")
    async def endpoint(socket: WebSocket, who: Annotated[Principal, Depends(own.require("read"))]) -> None:
        await socket.accept()
        await socket.close(reason=who.client_id)

    def shake(text: str | None, certificate: bytes = b"the holder's certificate") -> list[dict[str, Any]]:
        headers = (("Authorization", f"Bearer {text}"),) if text else ()
        scope = scope_of(Asked(path="/live", headers=headers, certificate=certificate), "websocket")
        scope["extensions"] |= extensions
        return messages_of(app, scope)

    return shake


def test_a_websocket_takes_the_same_dependency():
    """A WebSocket endpoint depends on the guard as any; a refusal answers, or closes, the handshake."""
    shake = live(**{"websocket.http.response": {}})
    assert [m.get("reason") for m in shake(bound())] == [None, "billing"]
    for refused in (shake(None), shake(bound(), THIEF)):
        assert (refused[0]["type"], refused[0]["status"]) == ("websocket.http.response.start", 401)
        assert dict(refused[0]["headers"])[b"www-authenticate"].startswith(b"Bearer")
    assert live()(None) == [{"type": "websocket.close", "code": 1008}]


def test_openapi_names_the_scheme():
    """FastAPI's document says which endpoints want a bound macaroon, and the docs can ask for one."""
    app = FastAPI()
    own = guard(app)

    @app.get("/invoices")
    async def invoices(principal: Annotated[Principal, Depends(own.require("read"))]) -> str:
        return ""

    @app.get("/public")
    async def public() -> str:
        return ""

    document = app.openapi()
    [(name, scheme)] = document["components"]["securitySchemes"].items()
    assert (name, scheme["type"], scheme["scheme"], scheme["bearerFormat"]) == (
        "macaroon",
        "http",
        "bearer",
        "macaroon",
    )
    assert document["paths"]["/invoices"]["get"]["security"] == [{"macaroon": []}]
    assert "security" not in document["paths"]["/public"]["get"]
    assert WELL_KNOWN not in document["paths"]


@pytest.mark.parametrize(
    ("settings", "scheme", "says"),
    [
        ({}, "bearer", "A macaroon bound to the client certificate"),
        ({"require": "dpop"}, "DPoP", "A macaroon bound to the key of a DPoP proof"),
        ({"require": "either"}, "bearer", "or, as Authorization: DPoP, a macaroon bound to the key"),
        ({"require_certificate": False}, "bearer", "A macaroon, bound or not"),
    ],
    ids=["certificate", "dpop", "either", "unbound"],
)
def test_openapi_says_what_the_guard_requires(settings, scheme, says):
    """The security scheme of FastAPI's document is that of the confirmation which the guard requires."""
    app = FastAPI()
    app.get("/invoices", dependencies=[Depends(guard(app, **settings).require("read"))])(lambda: "")
    found = app.openapi()["components"]["securitySchemes"]["macaroon"]
    assert (found["scheme"], says in found["description"]) == (scheme, True)


WITHOUT = """
import sys
sys.modules["fastapi"] = None
from starlette.applications import Starlette
from macaroon_cbat.resource.starlette import Guard
from tests.support.tokens import KEYS
guard = Guard(Starlette(), keys=KEYS)
assert guard.require("read").__name__ == "principal"
"""


def test_starlette_needs_no_fastapi():
    """Without FastAPI the guard of Starlette works alike."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", WITHOUT], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("module", ["macaroon_cbat.resource", "macaroon_cbat.resource.asgi"])
def test_importing_the_guard_imports_no_other_framework(module: str):
    """The guard for Flask, or for plain ASGI, imports neither FastAPI, Starlette nor Django."""
    others = ("fastapi", "starlette", "django", "asgiref")
    code = f"import sys, {module}; sys.exit(any(name in sys.modules for name in {others!r}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
