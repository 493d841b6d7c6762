from collections.abc import Iterator
from threading import Thread

import pytest
from flask import Flask, copy_current_request_context, stream_with_context

from macaroon_cbat import EpochSeconds, Expiry, Principal, Scope
from macaroon_cbat.resource import Guard, current_principal
from tests.support.guarded_app import bound, call
from tests.support.tokens import API, CERTIFICATE, GRANT, KEYS, NOW


@pytest.fixture
def guard() -> Guard:
    return Guard(keys=KEYS, clock=lambda: NOW)


@pytest.fixture
def app(guard: Guard) -> Flask:
    """Return an application with an unguarded view that asks who is there."""
    app = Flask("resource")
    app.testing = True
    guard.init_app(app)
    app.add_url_rule("/guarded", "guarded", guard.require("read")(lambda: current_principal.client_id))
    app.add_url_rule("/unguarded", "unguarded", lambda: current_principal.client_id)
    return app


def test_the_view_knows_who_asks(app: Flask, guard: Guard):
    """Inside the view current_principal is the grant, narrowed by every caveat."""
    found: list[bool] = []
    expected = Principal(
        client_id="billing",
        subject="alice",
        scope=frozenset({"read"}),
        token_id=GRANT.jti,
        audience=API,
        issued_at=NOW,
        expires_at=EpochSeconds(NOW + 60),
        certificate=CERTIFICATE,
        is_attenuated=True,
    )
    view = guard.require("read")(lambda: found.append(current_principal == expected) or "ok")
    app.add_url_rule("/who", "who", view)
    assert call(app, bound(Scope("read"), Expiry(NOW + 60)), path="/who").status_code == 200
    assert found == [True]


def test_there_is_no_principal_outside_a_request(app: Flask):
    """Outside a request current_principal is an error that says where it is known."""
    with pytest.raises(RuntimeError, match=r"guard\.require"):
        _ = current_principal.client_id
    with app.app_context(), pytest.raises(RuntimeError, match=r"guard\.require"):
        _ = current_principal.client_id


def test_there_is_no_principal_in_an_unguarded_view(app: Flask):
    """In a view without a guard current_principal is an error, even when a good token came."""
    with pytest.raises(RuntimeError, match=r"guard\.require"):
        call(app, bound(), path="/unguarded")


def test_a_principal_does_not_outlive_its_request(app: Flask):
    """A principal is known in its own request only, also where requests share an application context."""
    with app.app_context():
        assert call(app, bound(), path="/guarded").data == b"billing"
        with pytest.raises(RuntimeError, match=r"guard\.require"):
            call(app, None, path="/unguarded")


def test_a_thread_of_the_request_knows_the_principal(app: Flask, guard: Guard):
    """A thread that works for the request, with its context, knows the principal."""
    found: list[str] = []

    @guard.require("read")
    def view() -> str:
        thread = Thread(target=copy_current_request_context(lambda: found.append(current_principal.subject)))
        thread.start()
        thread.join()
        return "ok"

    app.add_url_rule("/threaded", "threaded", view)
    call(app, bound(), path="/threaded")
    assert found == ["alice"]


def test_a_streamed_answer_knows_the_principal(app: Flask, guard: Guard):
    """An answer streamed after the view has returned, with its context, knows the principal."""

    def streamed() -> Iterator[str]:
        yield current_principal.subject

    app.add_url_rule("/streamed", "streamed", guard.require("read")(lambda: stream_with_context(streamed())))
    assert call(app, bound(), path="/streamed").data == b"alice"
