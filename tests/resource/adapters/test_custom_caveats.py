"""Custom caveats: every adapter asks the judges of its own guard, and no other's."""

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.macaroon.custom import CustomCaveat
from tests.resource.adapters.test_contract import Absent
from tests.support.adapters import ADAPTERS, ASYNC
from tests.support.guarded_app import bound

TO_100 = CustomCaveat("payment", {"most": 100})


def up_to_50(value: Any, access: Any) -> str | None:
    return None if value["most"] <= 50 and access.method == "GET" else "too much"


def failing(error: Exception) -> Any:
    def judge(_value: Any, _access: Any) -> str | None:
        raise error

    return judge


def test_the_judge_decides(adapter):
    """A request passes if the judge of its caveat refuses nothing."""
    guarded = adapter.make(caveats={"payment": up_to_50})
    found = [adapter.call(guarded, bound(CustomCaveat("payment", {"most": most}))) for most in (50, 51)]
    assert [reply.status for reply in found] == [200, 401]
    assert "payment does not allow it" in found[1].json()["error_description"]


def test_other_guards_do_not_know_it(adapter, guarded):
    """A judge is registered at one guard: to every other one the caveat is unknown, and unknown means no."""
    assert adapter.call(adapter.make(caveats={"payment": lambda *_: None}), bound(TO_100)).status == 200
    reply = adapter.call(guarded, bound(TO_100))
    assert (reply.status, "unknown caveat 'payment'" in reply.json()["error_description"]) == (401, True)


FAILURES = {
    "the value is another": (lambda value, _: value["least"], 401),
    "the value is no object": (lambda value, _: value.most, 401),
    "the value is no decimal": (lambda *_: Decimal("much"), 401),
    "the value is too large": (lambda *_: timedelta(10**12), 401),
    "the value is nested": (failing(RecursionError()), 401),
    "a refusal by ValueError": (failing(ValueError("no such account")), 401),
    "the database is away": (failing(Unavailable("the database is away")), 503),
    "the network is away": (failing(ConnectionResetError()), 503),
    "a defect": (failing(ZeroDivisionError()), 503),
    "True for a reason": (lambda *_: True, 503),
    "False for a reason": (lambda *_: False, 503),
    "an empty reason": (lambda *_: "", 401),
}


@pytest.mark.parametrize(("judge", "status"), FAILURES.values(), ids=FAILURES)
def test_a_judge_that_fails_lets_no_request_in(adapter, judge, status):
    """A judge that cannot read the value refuses, and one that cannot tell, or returns no reason, is 503."""
    assert adapter.call(adapter.make(caveats={"payment": judge}), bound(TO_100)).status == status


def test_a_verifier_that_cannot_tell_asks_no_judge(adapter):
    """Judges are asked about authentic tokens alone."""
    guarded = adapter.make(verifier=Absent(), caveats={"payment": failing(AssertionError("asked"))})
    assert adapter.call(guarded, bound(TO_100)).status == 503


def test_a_request_asks_judges_a_hundred_times_at_most():
    """A holder can make no guard ask its judges, and their database, thousands of times by one request."""
    asked: list[object] = []
    wsgi = ADAPTERS["WSGI"]
    guarded = wsgi.make(caveats={"payment": lambda value, _: asked.append(value) or "too much"})
    for count in (100, 101):
        details = CustomCaveat("authorization_details", [{"type": "payment", "most": 1}] * (count - 50))
        reply = wsgi.call(guarded, bound(details, *[CustomCaveat("payment", 1)] * 50))
        assert (reply.status, len(asked)) == (401, 100)
    assert "101 custom caveats and details, more than 100" in reply.json()["error_description"]


def test_no_detail_is_asked_about_after_one_that_allows():
    """One detail that allows the access is enough: the judges of the others are not asked."""
    asked: list[object] = []
    wsgi = ADAPTERS["WSGI"]
    guarded = wsgi.make(caveats={"payment": lambda value, _: asked.append(value["most"])})
    details = CustomCaveat("authorization_details", [{"type": "payment", "most": most} for most in (1, 2)])
    assert wsgi.call(guarded, bound(details)).status == 200
    assert asked == [1]


def test_a_judge_may_block(adapter):
    """A judge that may ask a database is called in a thread where the adapter lives in an event loop."""
    threads: list[threading.Thread] = []
    guarded = adapter.make(caveats={"payment": lambda *_: threads.append(threading.current_thread())})
    assert adapter.call(guarded, bound(TO_100)).status == 200
    [thread] = threads
    assert (thread is threading.main_thread()) is (adapter not in ASYNC.values())
