"""Applications whose guards deny by default: one view each that is required, public, both, and forgotten."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from fastapi import Depends, FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from macaroon_cbat.resource import Guard, django, starlette
from tests.support import django_project
from tests.support.adapter_applications import settings_of
from tests.support.guarded_app import METHODS

PUBLIC = ("/health", "/static/*", "/both")
DENYING = {"default": "deny", "public": PUBLIC}
OPEN = ("/health", "/static/a.css")
FORGOTTEN = "/forgotten"


def flask(**settings: Any) -> Callable[..., Any]:
    app = Flask("denying", static_folder=None)
    guard = Guard(app, **settings_of({**DENYING, **settings}))
    for rule in ("/health", "/static/<path:rest>", FORGOTTEN):
        app.add_url_rule(rule, rule, lambda **_: "ran", methods=METHODS)
    for rule in ("/invoices", "/both"):
        app.add_url_rule(rule, rule, guard.require("read")(lambda: "ran"), methods=METHODS)
    return app.wsgi_app


async def _endpoint(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ran")


def starlette_application(**settings: Any) -> Starlette:
    guard = starlette.Guard(**settings_of({**DENYING, **settings}))

    @guard.endpoint("read")
    async def required(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ran")

    def routes(endpoint: Any, *paths: str) -> list[Route]:
        return [Route(one, endpoint, methods=METHODS) for one in paths]

    opened = [*routes(_endpoint, "/health", FORGOTTEN), Mount("/static", routes=routes(_endpoint, "/a.css"))]
    app = Starlette(routes=[*routes(required, "/invoices", "/both"), *opened])
    guard.init_app(app)
    return app


def fastapi(**settings: Any) -> FastAPI:
    app = FastAPI()
    guard = starlette.Guard(app, **settings_of({**DENYING, **settings}))
    for one in ("/health", "/static/a.css", FORGOTTEN):
        app.add_api_route(one, lambda: "ran", methods=METHODS)
    for one in ("/invoices", "/both"):
        required = [Depends(guard.require("read"))]
        app.add_api_route(one, lambda: "ran", methods=METHODS, dependencies=required)
    return app


def _view(request: HttpRequest, rest: str = "") -> HttpResponse:
    return HttpResponse("ran")


async def _later(request: HttpRequest, rest: str = "") -> HttpResponse:
    return HttpResponse("ran")


class Urls:
    """A module of URLs, as Django takes one."""

    def __init__(self, view: Any) -> None:
        required = django.require("read")(view)
        self.urlpatterns = [
            path("health", view),
            path("static/<path:rest>", view),
            path(FORGOTTEN[1:], view),
            path("invoices", required),
            path("both", required),
        ]


URLS, LATER_URLS = Urls(_view), Urls(_later)


def django_wsgi(**settings: Any) -> Callable[..., Any]:
    return django_project.wsgi_application(settings_of({**DENYING, **settings}), URLS)


def django_asgi(**settings: Any) -> Callable[..., Any]:
    return django_project.asgi_application(settings_of({**DENYING, **settings}), LATER_URLS)
