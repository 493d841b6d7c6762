"""A Django guard that denies by default, and the middleware before and behind it."""

import asyncio
import logging
from functools import wraps
from typing import Any, ClassVar

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.test.utils import override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View

from macaroon_cbat.resource.django import require
from macaroon_cbat.testing import FakeHolder
from tests.support import django_project
from tests.support.denying_applications import DENYING
from tests.support.tokens import KEYS

HOLDER = FakeHolder(KEYS)
GUARD = "macaroon_cbat.resource.django.GuardMiddleware"
HERE = __name__


def view(_: HttpRequest) -> HttpResponse:
    """Run."""
    return HttpResponse("ran")


required = require("read")(view)


@wraps(required)
def copy(_: HttpRequest) -> HttpResponse:
    """Run without the guard, under the name and marks of a required view."""
    return HttpResponse("ran without the guard")


@method_decorator(require("read"), name="dispatch")
class Dispatched(View):
    """A class-based view whose dispatch is required."""

    def get(self, _: HttpRequest) -> HttpResponse:
        """Run."""
        return HttpResponse("ran")


class Bare(View):
    """A class-based view that nothing requires."""

    def get(self, _: HttpRequest) -> HttpResponse:
        """Run."""
        return HttpResponse("ran")


class Urls:
    """The URLs of this module's project."""

    urlpatterns: ClassVar = [
        path("health", view),
        path("forgotten", view),
        path("copy", copy),
        path("dispatched", Dispatched.as_view()),
        path("around", require("read")(Bare.as_view())),
        path("bare", Bare.as_view()),
    ]


def rewriting(get_response: Any) -> Any:
    """Return a middleware that serves the path of a header that the guard does not know."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.path_info = request.headers.get("X-Own-Path", request.path_info)
        response: HttpResponse = get_response(request)
        return response

    return middleware


@pytest.fixture(autouse=True)
def _project() -> Any:
    middleware = ["django.middleware.security.SecurityMiddleware", GUARD, f"{HERE}.rewriting"]
    with (
        override_settings(MIDDLEWARE=middleware),
        django_project.changed({"keys": KEYS, **DENYING}, Urls),
    ):
        yield


def statuses(path: str, scope: str = "read", **headers: str) -> tuple[int, int]:
    """Return the status of a request without a token, and of one with a valid one."""
    tokens = (None, HOLDER.token(scope))
    asked = [Client().get(path, headers=headers, **HOLDER.django(token=token)) for token in tokens]
    return asked[0].status_code, asked[1].status_code


VIEWS = {
    "public": ("/health", (200, 200), (200, 200)),
    "forgotten": ("/forgotten", (401, 403), (401, 403)),
    "a copy of a required one": ("/copy", (401, 200), (401, 403)),
    "a required dispatch": ("/dispatched", (401, 200), (401, 403)),
    "required around as_view": ("/around", (401, 200), (401, 403)),
    "class-based and forgotten": ("/bare", (401, 403), (401, 403)),
    "not there": ("/nowhere", (401, 404), (401, 404)),
}


@pytest.mark.parametrize(("path", "reader", "writer"), VIEWS.values(), ids=VIEWS)
def test_views_of_each_kind(path: str, reader: tuple[int, int], writer: tuple[int, int]):
    """A view of any kind is public, required with its scope, or refused."""
    assert statuses(path) == reader
    assert statuses(path, "write") == writer


def test_a_path_that_changes_behind_the_guard():
    """The path of the view counts as well where a middleware behind the guard serves another path."""
    assert statuses("/health", **{"X-Own-Path": "/forgotten"}) == (403, 403)
    assert statuses("/health", **{"X-Own-Path": "/around"}) == (401, 200)
    assert statuses("/around", **{"X-Own-Path": "/health"})[0] == 401


def test_under_asgi_the_same():
    """Under ASGI the same views are public, required and refused."""

    async def found() -> list[int]:
        client = HOLDER.django_async(AsyncClient())
        asked: list[Any] = [
            await client.get("/health"),
            await client.get("/forgotten"),
            await client.get("/forgotten", headers=HOLDER.headers("read")),
            await client.get("/around", headers=HOLDER.headers("read")),
            await client.get("/around", headers=HOLDER.headers("write")),
        ]
        return [one.status_code for one in asked]

    assert asyncio.run(found()) == [200, 401, 403, 200, 403]


def test_the_line_names_what_runs_before_the_guard(caplog: pytest.LogCaptureFixture):
    """The line at the start names the middleware that answers before the guard could."""
    caplog.set_level(logging.INFO, "macaroon_cbat.resource")
    Client().get("/health")
    [line] = [one for one in caplog.messages if one.startswith("open without a token")]
    assert line.endswith("; before the guard stand SecurityMiddleware")
