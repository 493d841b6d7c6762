"""Refusals in the audit log are bounded, nothing else is, and how many were left out is written."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from macaroon_cbat.audit import AuditEvent, Utc, audit_line
from macaroon_cbat.journal import refusals
from macaroon_cbat.journal.refusals import DEFAULT_LINES, REFUSALS, SECONDS, RefusalLines

KINDS = sorted(REFUSALS)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        """Return the time, which stands still."""
        return self.now


class Flood:
    """A bound with a clock of its own, and what was written."""

    def __init__(self, *, is_timed: bool = False) -> None:
        self.clock = Clock()
        self.written: list[AuditEvent] = []
        self.lines = RefusalLines(self.written.append, self.clock, is_timed=is_timed)

    def refuse(self, count: int, kind="token.refused", error: str | None = "invalid_client") -> int:
        """Refuse so often; return how many lines that were."""
        at = Utc(f"2026-01-01T00:00:{int(self.clock.now) % 60:02}Z")
        events = [AuditEvent(at=at, event=kind, error=error) for _ in range(count)]
        return sum(self.lines.admits(event) for event in events)


@pytest.fixture
def flood() -> Flood:
    return Flood()


@pytest.mark.parametrize("kind", KINDS)
def test_a_flood_is_bounded(flood, kind):
    """Of each kind of refusal so many are written in ten seconds, and again as many in the next ten."""
    assert flood.refuse(1000, kind) == DEFAULT_LINES
    flood.clock.now += SECONDS - 0.1
    assert flood.refuse(1000, kind) == 0
    flood.clock.now += 0.1
    assert flood.refuse(1000, kind) == DEFAULT_LINES


def test_one_kind_does_not_hide_another(flood):
    """A flood of one kind leaves room for the refusals of the others."""
    flood.refuse(1000, "token.refused")
    assert flood.refuse(10, "admission.refused") == 10


def test_nothing_is_lost_silently(flood):
    """What was left out is one line: how many, since when, until when, of which kind and error."""
    flood.refuse(DEFAULT_LINES + 2)
    flood.clock.now += 5
    flood.refuse(3, error=None)
    flood.clock.now += 5
    flood.refuse(1)
    [summary] = flood.written
    assert json.loads(audit_line(summary)) == {
        "at": "2026-01-01T00:00:45Z",
        "event": "refusals.omitted",
        "since": "2026-01-01T00:00:40Z",
        "count": 5,
        "counts": {"token.refused invalid_client": 2, "token.refused missing_token": 3},
    }


def test_the_end_of_a_process_tells(flood):
    """What was left out is written when the process ends, once."""
    flood.refuse(DEFAULT_LINES + 7)
    flood.lines.flush()
    flood.lines.flush()
    assert [summary.count for summary in flood.written] == [7]


def test_the_end_of_a_flood_tells(monkeypatch):
    """When no request comes any more, a timer writes what was left out."""
    monkeypatch.setattr(refusals, "SECONDS", 0.05)
    flood = Flood(is_timed=True)
    flood.refuse(DEFAULT_LINES + 7)
    assert flood.lines._timer is not None
    flood.lines._timer.join()
    assert [summary.count for summary in flood.written] == [7]


def test_no_flood_no_line(flood):
    """Where nothing was left out, nothing is said."""
    flood.refuse(DEFAULT_LINES)
    flood.lines.flush()
    assert flood.written == []


def test_the_bound_can_be_lifted(flood):
    """With 0 every refusal is written."""
    flood.lines.lines = 0
    assert flood.refuse(1000) == 1000


def test_a_child_starts_anew(flood):
    """What a parent has left out, its children do not say again."""
    flood.refuse(DEFAULT_LINES + 7)
    flood.lines.forget()
    flood.lines.flush()
    assert flood.written == []
    assert flood.refuse(DEFAULT_LINES) == DEFAULT_LINES


CHILD = """
import os, sys, time
from macaroon_cbat.audit import AuditEvent, Utc
from macaroon_cbat.journal import note, record
from macaroon_cbat.journal.file import journal_to
journal_to(sys.argv[1])
for _ in range(500):
    note(AuditEvent(at=Utc("2026-01-01T00:00:00Z"), event="token.refused", error="invalid_client"))
    record(AuditEvent(at=Utc("2026-01-01T00:00:00Z"), event="token.minted"))
    note(AuditEvent(at=Utc("2026-01-01T00:00:00Z"), event="token.introspected"))
pid = os.fork()
if pid == 0:
    sys.exit(0)
os.waitpid(pid, 0)
"""


def test_a_process_that_ends_has_said_it_all(tmp_path):
    """Deeds are all there however many refusals come between, and the end of the process sums up."""
    file = tmp_path / "audit.log"
    subprocess.run([sys.executable, "-c", CHILD, os.fspath(file)], check=True, timeout=60)
    found = [json.loads(line) for line in file.read_text().splitlines()]
    count = Counter(one["event"] for one in found)
    deeds = {"token.minted": 500, "token.introspected": 500}
    assert count == deeds | {"token.refused": DEFAULT_LINES, "refusals.omitted": 1}
    [summary] = [one for one in found if one["event"] == "refusals.omitted"]
    assert summary["count"] == 500 - DEFAULT_LINES
