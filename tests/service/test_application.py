"""The busiest routes are found at once, and answer as the slow way to them does."""

import gc
import weakref

import pytest
from flask import after_this_request, request, session, url_for
from flask.typing import ResponseReturnValue
from flask.wrappers import Response

from macaroon_cbat.service.http.application import Application

PATHS = ["/busy", "//busy", "/busy/", "/BUSY", "/busy;a", "/bus%79", "/other", ""]


def application(*at_once: str) -> Application:
    """Return an application with a busy route and another one, and which routes it finds at once."""
    app = Application("tested")
    app.url_map.merge_slashes = False

    @app.post("/busy", endpoint="busy")
    def busy() -> dict[str, object]:
        rule = request.url_rule
        return {"rule": str(rule), "endpoint": request.endpoint, "url": url_for("other", _external=True)}

    @app.get("/other", endpoint="other")
    def other() -> str:
        return "other"

    app.find_at_once(*at_once)
    return app


@pytest.mark.parametrize("method", ["POST", "GET", "HEAD", "OPTIONS", "PUT"])
@pytest.mark.parametrize("path", PATHS)
def test_a_route_that_is_found_at_once_answers_alike(path, method):
    """The answer and its headers are those of Flask's own way, for every spelling of path and method."""
    answers = [
        application(*at_once).test_client().open(path, method=method, base_url="https://as.example/below")
        for at_once in ([], ["busy"])
    ]
    assert [each.data for each in answers] == [answers[0].data] * 2
    assert [list(each.headers) for each in answers] == [list(answers[0].headers)] * 2


def test_hosts_that_an_embedding_application_trusts_are_checked_first():
    """With TRUSTED_HOSTS no route is found without a look at the host."""
    app = application("busy")
    app.config["TRUSTED_HOSTS"] = ["as.example"]
    answers = [
        app.test_client().post("/busy", base_url=f"https://{host}") for host in ("as.example", "evil.example")
    ]
    assert [each.status_code for each in answers] == [200, 400]


def test_a_function_of_one_request_is_not_kept():
    """A function that an embedding application gives Flask for one request is gone after it."""
    app = application()
    alive: weakref.WeakSet[object] = weakref.WeakSet()

    @app.get("/alone")
    def alone() -> ResponseReturnValue:
        def unchanged(response: Response) -> Response:
            return response

        alive.add(unchanged)
        after_this_request(unchanged)
        return "done"

    for _ in range(3):
        assert app.test_client().get("/alone").data == b"done"
    gc.collect()
    assert not alive


@pytest.mark.parametrize(("key", "kept"), [(None, 500), ("k" * 32, 200)], ids=["without a key", "with a key"])
def test_sessions_need_the_key_of_an_embedding_application(key, kept):
    """Flask's sessions work for an application that sets a key, and are refused, shared by none, without."""
    app = application()
    app.secret_key = key

    @app.post("/keep")
    def keep() -> str:
        session["name"] = "value"
        return "kept"

    answer = app.test_client().post("/keep")
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (kept, kept == 200)


def test_a_coroutine_is_still_waited_for():
    """A view that is a coroutine is run to its end, each time."""
    app = application()

    async def later() -> str:
        return "later"

    assert [app.ensure_sync(later) is later for _ in range(2)] == [False, False]
    assert [app.ensure_sync(application) for _ in range(2)] == [application, application]
