"""One request and its proof, which several guards, or one guard twice, may judge."""

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from flask import Flask

from macaroon_cbat import Principal
from macaroon_cbat.macaroon.caveats import key_confirmation
from macaroon_cbat.resource import Guard, wsgi
from tests.support import denying_applications as denying
from tests.support.adapter_applications import settings_of
from tests.support.adapters import Asked, through_asgi, through_wsgi
from tests.support.dpop import jkt, key, proof
from tests.support.starlette_calls import guard as starlette_guard
from tests.support.tokens import token

KEYED = token(key_confirmation(jkt(key())))
DPOP = {"require": "dpop"}


def stacked_in_flask() -> Any:
    app = Flask("stacked")
    guard = Guard(app, **settings_of(DPOP))
    app.add_url_rule("/invoices", "invoices", guard.require("read")(guard.require("write")(lambda: "ran")))
    return app.wsgi_app


def stacked_in_wsgi() -> Any:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ran"]

    one, other = wsgi.Guard(**settings_of(DPOP)), wsgi.Guard(**settings_of(DPOP))
    return one.require("read")(one.require("write")(other.require()(app)))


def stacked_in_fastapi() -> Any:
    app = FastAPI()
    guard = starlette_guard(app, **DPOP)

    @app.get("/invoices", dependencies=[Depends(guard.require("read"))])
    async def invoices(_: Annotated[Principal, Depends(guard.require("write"))]) -> str:
        return "ran"

    return app


APPLICATIONS = {
    "Flask, two decorators": (stacked_in_flask, through_wsgi),
    "WSGI, three guards": (stacked_in_wsgi, through_wsgi),
    "FastAPI, two dependencies": (stacked_in_fastapi, through_asgi),
    "Flask, denying": (lambda: denying.flask(**DPOP), through_wsgi),
    "Starlette, denying": (lambda: denying.starlette_application(**DPOP), through_asgi),
    "FastAPI, denying": (lambda: denying.fastapi(**DPOP), through_asgi),
    "Django, denying": (lambda: denying.django_wsgi(**DPOP), through_wsgi),
    "Django, denying, async": (lambda: denying.django_asgi(**DPOP), through_asgi),
}


@pytest.mark.parametrize(("make", "send"), APPLICATIONS.values(), ids=APPLICATIONS)
def test_a_request_uses_its_proof_once(make, send):
    """However often guards judge one request, its proof is used once; another request with it is refused."""
    app, asked = make(), Asked(headers=(("Authorization", f"DPoP {KEYED}"), ("DPoP", proof(KEYED))))
    assert send(app, asked).status == 200
    assert send(app, asked).status == 401


def test_a_proof_that_a_middleware_replaces_is_judged_anew():
    """A middleware behind a guard that changes the header has the next guard judge the new proof."""
    guard, used = wsgi.Guard(**settings_of(DPOP)), proof(KEYED)

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ran"]

    inner = guard.require()(app)

    def replacing(environ: Any, start_response: Any) -> Any:
        return inner({**environ, "HTTP_DPOP": used}, start_response)

    def send(outer: Any, text: str) -> int:
        headers = (("Authorization", f"DPoP {KEYED}"), ("DPoP", text))
        return through_wsgi(outer, Asked(headers=headers)).status

    assert send(guard.require()(replacing), proof(KEYED)) == 200
    assert send(guard.require()(replacing), proof(KEYED)) == 401
