"""A Flask guard that denies by default, and what an application can put around it."""

from functools import wraps
from typing import Any

import pytest
from flask import Blueprint, Flask, redirect, request
from flask.views import MethodView, View

from macaroon_cbat.resource import Guard
from macaroon_cbat.testing import FakeHolder
from tests.support.tokens import KEYS

HOLDER = FakeHolder(KEYS)


def denying(app: Flask, *public: str) -> Guard:
    return Guard(app, keys=KEYS, default="deny", public=public)


def statuses(app: Flask, path: str, method: str = "GET", scope: str = "read") -> tuple[int, int]:
    """Return the status of a request without a token, and of one with a valid one."""
    client = app.test_client()
    asked = [
        client.open(path, method=method, buffered=True, **HOLDER.flask(token=token))
        for token in (None, HOLDER.token(scope))
    ]
    return asked[0].status_code, asked[1].status_code


def test_static_files_are_denied(tmp_path):
    """Flask's own static files, and a blueprint's, are denied until their prefix is public."""
    (tmp_path / "a.css").write_text("a {}")
    blueprint = Blueprint(
        "shop", __name__, static_folder=tmp_path, static_url_path="/static", url_prefix="/shop"
    )
    closed, opened = (Flask("app", static_folder=tmp_path, static_url_path="/static") for _ in range(2))
    for app, public in ((closed, []), (opened, ["/static/*", "/shop/static/*"])):
        app.register_blueprint(blueprint)
        denying(app, *public)
    for path in ("/static/a.css", "/shop/static/a.css"):
        assert statuses(closed, path) == (401, 403)
        assert statuses(opened, path) == (200, 200)
    assert statuses(opened, "/static/../app.py")[0] == 401


def test_routes_may_come_after_the_guard():
    """A view that is added after the guard is denied, or required, like one before it."""
    app = Flask("app")
    guard = denying(app)
    app.add_url_rule("/forgotten", "forgotten", lambda: "ran")
    late = Blueprint("late", __name__, url_prefix="/late")
    late.add_url_rule("/forgotten", "forgotten", lambda: "ran")
    late.add_url_rule("/required", "required", guard.require("read")(lambda: "ran"))
    app.register_blueprint(late)
    assert statuses(app, "/forgotten") == statuses(app, "/late/forgotten") == (401, 403)
    assert statuses(app, "/late/required") == (401, 200)


@pytest.mark.parametrize("is_before", [True, False], ids=["registered before", "registered after"])
def test_the_guard_comes_before_other_functions(is_before):
    """A function that an application runs before each request runs for admitted requests alone."""
    app, ran = Flask("app"), []

    def answers() -> str:
        ran.append(request.path)
        return "an answer before any view"

    if is_before:
        app.before_request(answers)
    denying(app)
    app.before_request(answers)
    assert statuses(app, "/forgotten")[0] == 401
    assert ran == ["/forgotten"]  # the one with a valid token: 404 is no view


def test_error_pages_are_for_valid_tokens():
    """A handler of 404 that serves a page serves it to admitted requests alone."""
    app = Flask("app")
    denying(app)
    app.register_error_handler(404, lambda _: ("the whole application in one page", 200))
    assert statuses(app, "/nowhere") == (401, 200)


def test_redirects_are_for_valid_tokens():
    """The redirect to the slash at the end, and 405, tell strangers of no view."""
    app = Flask("app")
    guard = denying(app)
    app.add_url_rule("/invoices/", "invoices", guard.require("read")(lambda: "ran"))
    assert statuses(app, "/invoices") == (401, 308)
    assert statuses(app, "/invoices/", "DELETE") == (401, 405)


def test_automatic_options_are_required_as_the_view():
    """The answer that Flask makes to OPTIONS without the view wants the view's scope, too."""
    app = Flask("app")
    guard = denying(app)
    app.add_url_rule("/invoices", "invoices", guard.require("read")(lambda: "ran"))
    assert statuses(app, "/invoices", "OPTIONS") == (401, 200)
    assert statuses(app, "/invoices", "OPTIONS", "write") == (401, 403)


class Invoices(MethodView):
    """A view with a method of each kind; the guard decorates one of them."""

    def post(self) -> str:
        """Forget the guard."""
        return "ran"


class Whole(View):
    """A view of one method."""

    def dispatch_request(self) -> str:
        """Run."""
        return "ran"


def test_class_based_views():
    """A class-based view is required as a whole, by its decorators, or method by method."""
    app = Flask("app")
    guard = denying(app)
    methods = type("Methods", (Invoices,), {"get": guard.require("read")(lambda self: "ran")})
    whole = type("Decorated", (Whole,), {"decorators": [guard.require("read")]})
    app.add_url_rule("/methods", view_func=methods.as_view("methods"))
    app.add_url_rule("/whole", view_func=whole.as_view("whole"))
    app.add_url_rule("/bare", view_func=Whole.as_view("bare"))
    assert statuses(app, "/methods") == statuses(app, "/methods", "HEAD") == (401, 200)
    assert statuses(app, "/methods", "POST") == statuses(app, "/bare") == (401, 403)
    assert statuses(app, "/methods", scope="write") == statuses(app, "/whole", scope="write") == (401, 403)
    assert statuses(app, "/whole") == (401, 200)


def test_a_copy_of_a_required_view_is_required():
    """A function that takes the name and marks of a required view, without calling it, wants its scope."""
    app = Flask("app")
    guard = denying(app)
    required = guard.require("read")(lambda: "ran")

    @wraps(required)
    def copy(*args: Any, **kwargs: Any) -> str:
        return "ran without the guard"

    app.add_url_rule("/copy", "copy", copy)
    assert statuses(app, "/copy") == (401, 200)
    assert statuses(app, "/copy", scope="write") == (401, 403)


def test_another_guard_s_requirement_is_none():
    """A view under a guard of another application is not under this one."""
    app = Flask("app")
    denying(app)
    app.add_url_rule("/foreign", "foreign", Guard(keys=KEYS).require("read")(lambda: "ran"))
    assert statuses(app, "/foreign") == (401, 403)


def test_a_request_that_was_changed_is_judged_again():
    """A verdict covers the request that was judged: a view that runs for another one judges that."""
    app = Flask("app")
    guard = denying(app)
    app.add_url_rule("/invoices", "invoices", guard.require("read")(lambda: "ran"))

    @app.before_request
    def change() -> None:
        request.environ["HTTP_AUTHORIZATION"] = "Bearer rubbish"

    assert statuses(app, "/invoices") == (401, 401)


def test_a_factory_takes_the_same_settings():
    """A guard without an application denies in each that it is given."""
    guard = Guard(default="deny", public=["/health"])
    app = Flask("app")
    app.config["MACAROON_CBAT_KEYS"] = KEYS
    guard.init_app(app)
    app.add_url_rule("/health", "health", lambda: "ran")
    app.add_url_rule("/forgotten", "forgotten", lambda: redirect("/health"))
    assert (statuses(app, "/health"), statuses(app, "/forgotten")) == ((200, 200), (401, 403))
