"""One request, its proof and its judges: several guards, or one guard twice, may judge it."""

from typing import Annotated, Any

import pytest
from django.http import HttpResponse
from django.urls import path
from fastapi import Depends, FastAPI
from flask import Flask

from macaroon_cbat import Principal
from macaroon_cbat.macaroon.caveats import key_confirmation
from macaroon_cbat.macaroon.custom import CustomCaveat
from macaroon_cbat.resource import Guard, wsgi
from macaroon_cbat.resource.django import require
from tests.support import denying_applications as denying
from tests.support.adapter_applications import settings_of
from tests.support.adapters import Asked, through_asgi, through_wsgi
from tests.support.django_project import asgi_application, wsgi_application
from tests.support.dpop import jkt, key, proof
from tests.support.guarded_app import bound
from tests.support.starlette_calls import guard as starlette_guard
from tests.support.tokens import token

KEYED = token(key_confirmation(jkt(key())))
DPOP = {"require": "dpop"}


def stacked_in_flask(**settings: Any) -> Any:
    app = Flask("stacked")
    guard = Guard(app, **settings_of(settings))
    app.add_url_rule("/invoices", "invoices", guard.require("read")(guard.require("write")(lambda: "ran")))
    return app.wsgi_app


def stacked_in_wsgi() -> Any:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ran"]

    one, other = wsgi.Guard(**settings_of(DPOP)), wsgi.Guard(**settings_of(DPOP))
    return one.require("read")(one.require("write")(other.require()(app)))


def stacked_in_fastapi(**settings: Any) -> Any:
    app = FastAPI()
    guard = starlette_guard(app, **settings)

    @app.get("/invoices", dependencies=[Depends(guard.require("read"))])
    async def invoices(_: Annotated[Principal, Depends(guard.require("write"))]) -> str:
        return "ran"

    return app


async def _later(_request: Any) -> HttpResponse:
    return HttpResponse()


def stacked_in_django(**settings: Any) -> Any:
    view = require("read")(require("write")(lambda _: HttpResponse()))
    return wsgi_application(settings_of(settings), (path("invoices", view),))


def stacked_in_async_django(**settings: Any) -> Any:
    return asgi_application(
        settings_of(settings), (path("invoices", require("read")(require("write")(_later))),)
    )


STACKED = {
    "Flask": (stacked_in_flask, through_wsgi),
    "FastAPI": (stacked_in_fastapi, through_asgi),
    "Django": (stacked_in_django, through_wsgi),
    "Django, async": (stacked_in_async_django, through_asgi),
}


@pytest.mark.parametrize(("make", "send"), STACKED.values(), ids=STACKED)
def test_a_request_asks_a_judge_once(make, send):
    """However often a guard stands over a view, a judge that counts is asked once about a request."""
    asked: list[Any] = []
    app = make(caveats={"payment": lambda value, _: asked.append(value)})
    headers = (("Authorization", f"Bearer {bound(CustomCaveat('payment', 7))}"),)
    assert [send(app, Asked(headers=headers)).status for _ in range(2)] == [200, 200]
    assert asked == [7, 7]


APPLICATIONS = {
    "Flask, two decorators": (lambda: stacked_in_flask(**DPOP), through_wsgi),
    "WSGI, three guards": (stacked_in_wsgi, through_wsgi),
    "FastAPI, two dependencies": (lambda: stacked_in_fastapi(**DPOP), through_asgi),
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
