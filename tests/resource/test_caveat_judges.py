"""The registration of judges at a guard: `guard.caveat(name, judge)`."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.custom import CustomCaveat
from macaroon_cbat.resource import asgi, flask, starlette, wsgi
from macaroon_cbat.resource.caveat_judges import CaveatJudges
from macaroon_cbat.resource.django_settings import project_settings
from tests.support.adapters import Asked, through_asgi, through_wsgi
from tests.support.django_project import changed
from tests.support.guarded_app import CERTIFICATE, add_views, bound, call
from tests.support.tokens import KEYS, NOW

PAYMENT = CustomCaveat("payment", 7)
GUARDS: dict[str, Callable[..., Any]] = {
    "Flask": flask.Guard,
    "WSGI": wsgi.Guard,
    "ASGI": asgi.Guard,
    "Starlette": starlette.Guard,
}


async def awaiting(_value: Any, _access: Any) -> None:
    return None


class Awaiting:
    async def __call__(self, _value: Any, _access: Any) -> None:
        """Return nothing, later."""


@pytest.fixture(params=GUARDS.values(), ids=list(GUARDS))
def guard(request: pytest.FixtureRequest) -> Any:
    return request.param(keys=KEYS, clock=lambda: NOW)


UNUSABLE: dict[str, tuple[str, Any, str]] = {
    "a known caveat": ("exp", lambda *_: None, "a meaning of its own"),
    "the details": ("authorization_details", lambda *_: None, "a meaning of its own"),
    "nearly a known caveat": ("scopes", lambda *_: None, "did you mean scope"),
    "no name": ("", lambda *_: None, "visible ASCII"),
    "a judge of one argument": ("payment", lambda _value: None, "other arguments"),
    "a judge of three": ("payment", lambda _value, _access, _more: None, "other arguments"),
    "no function": ("payment", "judge", "other arguments"),
    "an async function": ("payment", awaiting, "is async"),
    "an async object": ("payment", Awaiting(), "is async"),
}


@pytest.mark.parametrize(("name", "judge", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_judge_is_refused_where_it_is_registered(guard, name, judge, reason):
    """A name that is taken, and a function that could not judge, are SettingsErrors at registration."""
    with pytest.raises(SettingsError, match=reason):
        guard.caveat(name, judge)


def test_a_name_has_one_judge(guard):
    """A second judge of a name would replace the first in silence: it is refused."""
    guard.caveat("payment", lambda *_: None)
    with pytest.raises(SettingsError, match="has a judge already"):
        guard.caveat("payment", lambda *_: None)


def test_flask_takes_judges_before_and_after_its_applications():
    """Flask's guard asks a judge that was registered before or after `init_app`."""
    app, guard = Flask("late"), flask.Guard(keys=KEYS, clock=lambda: NOW)
    guard.caveat("payment", lambda *_: None)
    add_views(app, guard)
    guard.init_app(app)
    assert call(app, bound(PAYMENT, CustomCaveat("tenant", 1))).status_code == 401
    guard.caveat("tenant", lambda *_: None)
    assert call(app, bound(PAYMENT, CustomCaveat("tenant", 1))).status_code == 200


def test_two_guards_share_no_judges():
    """The settings of one guard are not changed by its registrations."""
    settings: Any = {"keys": KEYS, "caveats": {"tenant": lambda *_: None}}
    first, second = wsgi.Guard(**settings), wsgi.Guard(**settings)
    first.caveat("payment", lambda *_: None)
    second.caveat("payment", lambda *_: None)
    assert list(settings["caveats"]) == ["tenant"]


def sent(app: Any, send: Callable[..., Any]) -> int:
    headers = (("Authorization", f"Bearer {bound(PAYMENT)}"),)
    return int(send(app, Asked(headers=headers, certificate=CERTIFICATE)).status)


async def endpoint(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_a_guard_around_an_application_takes_judges():
    """The guards of WSGI and ASGI ask a judge that was registered after `require`."""
    threads: list[threading.Thread] = []

    def judge(_value: Any, _access: Any) -> None:
        threads.append(threading.current_thread())

    def view(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return []

    around, around_async = wsgi.Guard(keys=KEYS, clock=lambda: NOW), asgi.Guard(keys=KEYS, clock=lambda: NOW)
    apps = around.require("read")(view), around_async.require("read")(endpoint)
    around.caveat("payment", judge)
    around_async.caveat("payment", judge, blocks=False)
    assert (sent(apps[0], through_wsgi), sent(apps[1], through_asgi)) == (200, 200)
    assert threads == [threading.main_thread()] * 2


def test_no_judge_is_asked_twice_for_another_ones_thread():
    """A judge that never blocks is asked once, too, where one that is asked after it needs a thread."""
    asked: list[str] = []

    guard = asgi.Guard(keys=KEYS, clock=lambda: NOW)
    guard.caveat("payment", lambda *_: asked.append("payment"), blocks=False)
    guard.caveat("tenant", lambda *_: asked.append("tenant"))
    headers = (("Authorization", f"Bearer {bound(PAYMENT, CustomCaveat('tenant', 1))}"),)
    reply = through_asgi(guard.require("read")(endpoint), Asked(headers=headers, certificate=CERTIFICATE))
    assert (reply.status, asked) == (200, ["payment", "tenant"])


def judge_of_the_project(_value: Any, _access: Any) -> None:
    return None


def test_django_imports_judges_by_their_paths():
    """A project names its judges by dotted paths, or gives the functions."""
    path = f"{__name__}.judge_of_the_project"
    with changed({"caveats": {"payment": "operator.eq", "tenant": judge_of_the_project}}, None):
        assert list(CaveatJudges(project_settings()["caveats"])) == ["payment", "tenant"]
    with changed({"caveats": {"payment": path + "s"}}, None), pytest.raises(SettingsError, match="imported"):
        project_settings()
