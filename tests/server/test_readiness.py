"""The readiness of a process: its checks, what they say, and that they cannot hold up a probe."""

import threading

import pytest

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.server import readiness
from macaroon_cbat.server.readiness import Readiness
from tests.support.clock import Clock


def failing(error: Exception) -> None:
    raise error


def test_each_check_is_named_with_its_problem() -> None:
    """A check that is well is None; problem, outage and defect are told under the name of the check."""
    checks = {
        "fine": lambda: None,
        "worn": lambda: "it is worn: replace it",
        "away": lambda: failing(Unavailable("it is away")),
        "broken": lambda: failing(ZeroDivisionError("secret")),
    }
    assert Readiness(checks).problems() == {
        "fine": None,
        "worn": "it is worn: replace it",
        "away": "it is away",
        "broken": "the check failed: its reason is in the log",
    }


def test_a_flood_of_probes_is_one_check_a_second() -> None:
    """Answers are good for a second, so that probes cannot load the database."""
    clock, calls = Clock(), []
    ready = Readiness({"counted": lambda: calls.append(None)}, clock)
    assert [ready.problems() for _ in range(50)] == [{"counted": None}] * 50
    assert len(calls) == 1
    clock.now += readiness.MEMORY_SECONDS
    ready.problems()
    assert len(calls) == 2


def test_a_check_that_hangs_is_a_problem_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that goes on for long is told as such, only one of it runs, and others wait for it."""
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 0.0)
    clock, gate, calls = Clock(), threading.Event(), []

    def hang() -> None:
        calls.append(None)
        gate.wait()

    ready = Readiness({"hanging": hang, "behind": lambda: None}, clock)
    for _ in range(3):
        assert ready.problems() == dict.fromkeys(("hanging", "behind"), "the check takes longer than 0 s")
        clock.now += 100
    gate.set()
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 3600.0)
    assert ready.problems() == {"hanging": None, "behind": None}
    assert len(calls) <= 2


def test_a_flood_of_probes_waits_for_no_check_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The patience is that of the checks, not of each probe: a flood would hold thousands of threads."""
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 0.1)
    clock, gate = Clock(), threading.Event()
    ready = Readiness({"hanging": gate.wait}, clock)
    ready.problems()
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 3600.0)
    clock.now += 3600
    assert ready.problems() == {"hanging": "the check takes longer than 3600 s"}
    gate.set()
