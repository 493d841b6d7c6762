"""The parts that Django alone has: settings, middleware, class-based views, CSRF."""

import asyncio
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.test.utils import override_settings
from django.views import View

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.caveats import PathPrefix
from macaroon_cbat.resource.django import GuardMiddleware, require
from macaroon_cbat.testing import FakeHolder
from tests.support import django_project
from tests.support.adapters import ADAPTERS
from tests.support.guarded_app import CERTIFICATE, THIEF, bound
from tests.support.one_line import one_line
from tests.support.tokens import KEYS, NOW

USABLE = {"KEYS": KEYS, "CLOCK": lambda: NOW}
UNUSABLE: dict[str, tuple[Any, str]] = {
    "no settings": (None, "needs keys"),
    "no keys": ({}, "needs keys"),
    "a key file that is not there": ({"KEYS": "/nowhere/keys.json"}, "macaroon-cbat key export"),
    "an unknown name": ({**USABLE, "REQUIRE_CERT": True}, "no setting require_cert"),
    "small letters": ({"keys": KEYS}, "in capitals, unlike keys"),
    "a clock too far": ({**USABLE, "CLOCK_SKEW": 301}, "clock_skew"),
}


def request_of(text: str | None, certificate: bytes = CERTIFICATE, method: str = "GET") -> HttpRequest:
    holder = FakeHolder(KEYS, certificate=certificate)
    return RequestFactory().generic(method, "/invoices", **holder.django(token=text))


def through(view: Any, request: HttpRequest) -> HttpResponse:
    """Send a request through the middleware to a view."""
    with override_settings(MACAROON_CBAT=USABLE):
        response: HttpResponse = GuardMiddleware(view)(request)
    return response


@pytest.mark.parametrize(("settings", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_settings_are_refused_at_the_start(settings: Any, reason: str):
    """A project with unusable settings does not start, and one line says what to do."""
    with override_settings(MACAROON_CBAT=settings), pytest.raises(SettingsError, match=reason) as error:
        django_project.WSGIHandler()
    assert one_line(error)


def test_without_the_middleware_no_client_is_let_in():
    """A view under the decorator fails where the middleware is missing."""
    with pytest.raises(SettingsError, match="MIDDLEWARE lacks"):
        require("read")(lambda _: HttpResponse())(request_of(bound()))


class Invoices(View):
    """A class-based view."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Tell whom the guard let in."""
        principal: Any = request.principal  # type: ignore[attr-defined]
        return HttpResponse(principal.client_id)


class Later(View):
    """An async class-based view."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Tell whom the guard let in."""
        principal: Any = request.principal  # type: ignore[attr-defined]
        return HttpResponse(principal.client_id)


def test_a_class_based_view_is_guarded():
    """The guard goes around as_view()."""
    view = require("read")(Invoices.as_view())
    assert through(view, request_of(bound())).content == b"billing"
    assert through(view, request_of(bound(), THIEF)).status_code == 401
    assert through(view, request_of(bound(), method="DELETE")).status_code == 405


def test_an_async_class_based_view_is_guarded():
    """The guard of an async class-based view is async as well."""
    view = require("read")(Later.as_view())
    assert asyncio.run(through(view, request_of(bound()))).content == b"billing"  # type: ignore[arg-type]
    assert asyncio.run(through(view, request_of(None))).status_code == 401  # type: ignore[arg-type]


def test_a_view_that_turns_out_to_be_async_is_an_error():
    """Around something sync that returns a coroutine the guard cannot see to the answer, and says so."""
    later = Later.as_view()

    def sync(request: HttpRequest) -> Any:
        return later(request)

    view = require("read")(sync)
    with pytest.raises(SettingsError, match="as_view"):
        through(view, request_of(bound()))


def test_the_view_keeps_its_name():
    """A guarded view keeps its name and what other decorators put there."""

    def invoices(request: HttpRequest) -> HttpResponse:
        """List the invoices."""
        return HttpResponse()

    invoices.xframe_options_exempt = True  # type: ignore[attr-defined]
    guarded: Any = require("read")(invoices)
    assert (guarded.__name__, guarded.__doc__, guarded.xframe_options_exempt) == (
        "invoices",
        "List the invoices.",
        True,
    )


@pytest.mark.parametrize("name", ["Django", "Django, async"])
def test_a_post_needs_no_csrf_token(name: str):
    """With Django's own CSRF middleware in place, a bound token is all that a POST needs, and it needs it."""
    adapter = ADAPTERS[name]
    app = adapter.make()
    assert adapter.call(app, bound(), method="POST").status == 200
    assert adapter.call(app, method="POST").status == 401


def test_the_view_decides_about_caching():
    """A view's own Cache-Control stays."""
    view = require()(lambda _: HttpResponse(headers={"Cache-Control": "private"}))
    assert through(view, request_of(bound())).headers["Cache-Control"] == "private"


@pytest.mark.parametrize(
    ("name", "path"),
    [("Django", "/invoices"), ("Django, async", "/invoices"), ("Django, async", "/v1/invoices")],
)
def test_a_script_name_of_the_project_s_is_part_of_the_path(name: str, path: str):
    """Caveats name the whole path where the project says below which path it is reached."""
    adapter = ADAPTERS[name]
    app = adapter.make(root_path="/v1")
    with override_settings(FORCE_SCRIPT_NAME="/v1"):
        assert adapter.call(app, bound(PathPrefix("/v1/invoices")), path=path).status == 200
        assert adapter.call(app, bound(PathPrefix("/invoices")), path=path).status == 401
