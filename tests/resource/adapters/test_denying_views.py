"""Flask and Django guards that deny by default: no forgotten view runs, of any kind and for any token."""

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from flask import Blueprint, Flask, Response
from flask.views import MethodView
from flask.views import View as FlaskView

from macaroon_cbat.resource import Guard
from macaroon_cbat.resource.django import require
from macaroon_cbat.testing import FakeHolder
from tests.support import django_project
from tests.support.denying_applications import DENYING
from tests.support.guarded_app import METHODS
from tests.support.tokens import KEYS

HOLDER = FakeHolder(KEYS)
RAN: list[str] = []
FORGOTTEN = ("sync", "async", "class", "async-class", "api", "methods", "inner/sync", "late", "raw", "csrf")


@pytest.fixture(autouse=True)
def _nothing_ran() -> Iterator[None]:
    RAN.clear()
    yield
    RAN.clear()


def ran(*_: Any, **__: Any) -> str:
    RAN.append("view")
    return "ran"


async def ran_later(*_: Any, **__: Any) -> str:
    return ran()


def flask_application() -> Flask:
    app = Flask("app", static_folder=None)
    guard = Guard(app, keys=KEYS, default="deny", public=["/health"])
    blueprint = Blueprint("inner", __name__)
    blueprint.add_url_rule("/sync", view_func=ran)
    app.register_blueprint(blueprint, url_prefix="/inner")
    methods = dict.fromkeys(("get", "post", "options", "delete"), ran)
    partly = {**methods, "put": guard.require("read")(ran)}
    views = {
        "sync": ran,
        "async": ran_later,
        "class": type("Whole", (FlaskView,), {"dispatch_request": ran}).as_view("whole"),
        "async-class": type("Later", (FlaskView,), {"dispatch_request": ran_later}).as_view("later"),
        "api": type("Methods", (MethodView,), methods).as_view("methods"),
        "methods": type("Partly", (MethodView,), partly).as_view("partly"),
        "raw": lambda: Response((ran() for _ in range(1)), direct_passthrough=True),
        "csrf": ran,
    }
    for name, view in views.items():
        app.add_url_rule(f"/{name}", name, view, methods=None if hasattr(view, "view_class") else METHODS)
    app.add_url_rule("/guarded", "guarded", guard.require("read")(ran))
    app.add_url_rule("/late", "late", ran)
    return app


@pytest.mark.parametrize("name", FORGOTTEN)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_a_forgotten_view_of_flask_does_not_run(name: str, method: str):
    """A Flask view that is neither public nor under the guard does not run, sync, async or class-based."""
    client = flask_application().test_client()
    answers = [client.open(f"/{name}", method=method, **HOLDER.flask(token=token)).status_code
               for token in (None, HOLDER.token("read"))]  # fmt: skip
    assert (answers[0], answers[1] in (403, 405), RAN) == (401, True, [])


def test_a_guarded_view_of_flask_runs():
    """The same application runs what is under the guard."""
    assert flask_application().test_client().get("/guarded", **HOLDER.flask("read")).status_code == 200
    assert RAN == ["view"]


def view(_: HttpRequest) -> HttpResponse:
    """Run."""
    return HttpResponse(ran())


async def later(_: HttpRequest) -> HttpResponse:
    """Run."""
    return HttpResponse(ran())


class Page(View):
    """A class-based view."""

    def dispatch(self, *_: Any, **__: Any) -> HttpResponse:
        """Run, whatever the method."""
        return HttpResponse(ran())


class LaterPage(View):
    """An async class-based view."""

    async def get(self, _: HttpRequest) -> HttpResponse:
        """Run."""
        return HttpResponse(ran())

    post = options = delete = get  # type: ignore[assignment]


class ApiView(View):
    """A view as REST frameworks make them: `as_view` wraps it, and `initial` runs before the method."""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Return the view, which no CSRF check precedes."""
        made = super().as_view(**initkwargs)
        made.csrf_exempt = True
        return made

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Run `initial`, then the method."""
        RAN.append("initial")
        return super().dispatch(request, *args, **kwargs)  # type: ignore[return-value]

    def get(self, _: HttpRequest) -> HttpResponse:
        """Run."""
        return HttpResponse(ran())


class Partly(View):
    """A class of which one method alone is under the guard."""

    @method_decorator(require("read"))
    def put(self, _: HttpRequest) -> HttpResponse:
        """Run."""
        return HttpResponse(ran())

    def get(self, _: HttpRequest) -> HttpResponse:
        """Run."""
        return HttpResponse(ran())


class Raw:
    """A callable object in place of a view."""

    def __call__(self, _: HttpRequest) -> HttpResponse:
        """Run."""
        return HttpResponse(ran())


class Urls:
    """The URLs of this module's project."""

    urlpatterns: ClassVar = [
        path("sync", view),
        path("async", later),
        path("class", Page.as_view()),
        path("async-class", LaterPage.as_view()),
        path("api", ApiView.as_view()),
        path("methods", Partly.as_view()),
        path("inner/", include(([path("sync", view)], "inner"))),
        path("late", view, {"more": 1}),
        path("raw", Raw()),
        path("csrf", require("read")),  # the decorator itself, by mistake
        path("guarded", require("read")(view)),
    ]


@pytest.fixture
def _project() -> Iterator[None]:
    with django_project.changed({"keys": KEYS, **DENYING}, Urls):
        yield


@pytest.mark.usefixtures("_project")
@pytest.mark.parametrize("name", FORGOTTEN)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_a_forgotten_view_of_django_does_not_run(name: str, method: str):
    """A Django view that is neither public nor under the guard does not run under WSGI, sync or async."""
    answers = [Client().generic(method, f"/{name}", **HOLDER.django(token=token)).status_code
               for token in (None, HOLDER.token("read"))]  # fmt: skip
    assert (answers, RAN) == ([401, 403], [])


@pytest.mark.usefixtures("_project")
@pytest.mark.parametrize("name", FORGOTTEN)
def test_a_forgotten_view_of_django_does_not_run_under_asgi(name: str):
    """Nor does it under ASGI."""

    async def found() -> list[int]:
        client = HOLDER.django_async(AsyncClient())
        headers: list[dict[str, str]] = [{}, HOLDER.headers("read")]
        return [(await client.get(f"/{name}", headers=one)).status_code for one in headers]

    assert (asyncio.run(found()), RAN) == ([401, 403], [])


@pytest.mark.usefixtures("_project")
def test_a_guarded_view_of_django_runs():
    """The same project runs what is under the guard."""
    assert Client().get("/guarded", **HOLDER.django("read")).status_code == 200
    assert RAN == ["view"]
