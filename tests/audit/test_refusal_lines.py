"""Refusals in the audit log are bounded, nothing else is, and how many were left out is written."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from macaroon_cbat.audit import refusals
from macaroon_cbat.audit.event import AuditEvent, Utc, audit_line
from macaroon_cbat.audit.refusals import DEFAULT_LINES, SECONDS, RefusalLines
from tests.support.clock import Clock
from tests.support.tls_servers import wait_until

KINDS = ("token.refused", "request.refused", "admission.refused", "token.introspected")
EACH = DEFAULT_LINES // 5


class Flood:
    """A bound with a clock of its own, and what was written."""

    def __init__(self, *, is_timed: bool = False) -> None:
        self.clock = Clock()
        self.written: list[AuditEvent] = []
        self.lines = RefusalLines(self.written.append, self.clock, is_timed=is_timed)

    def refuse(self, count: int, kind="token.refused", error: str | None = "invalid_client", **who) -> int:
        """Refuse so often; return how many lines that were."""
        at = Utc(f"2026-01-01T00:00:{int(self.clock.now) % 60:02}Z")
        events = [AuditEvent(at=at, event=kind, error=error, **who) for _ in range(count)]
        return sum(self.lines.admits(event) for event in events)

    def stolen(self, count: int = 1, token: str = "stolen", client: str = "billing", **more) -> int:
        """Refuse an authentic token over another connection so often; return how many lines that were."""
        named = {"who": client, "token_id": token, "status": 401, **more}
        return self.refuse(count, "admission.refused", "invalid_token", **named)


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


@pytest.mark.parametrize("kind", ["request.refused", "admission.refused"])
@pytest.mark.parametrize(
    ("error", "status"), [("not_found", 404), ("invalid_token", 401), (None, 401), ("access_denied", 403)]
)
def test_what_names_nothing_does_not_hide_a_stolen_token(flood, kind, error, status):
    """An attacker without a token uses up no line about an authentic one, however much junk it sends."""
    flood.refuse(1000, kind, error, status=status)
    named = {"who": "ops", "token_id": "stolen", "status": 401}
    assert flood.refuse(1, kind, "invalid_token", **named) == 1


def test_what_is_not_there_does_not_hide_what_is_denied(flood):
    """A flood of 404 leaves room for 401 and 403."""
    flood.refuse(1000, "request.refused", "not_found", status=404)
    assert flood.refuse(10, "request.refused", "invalid_client", status=401) == 10


def test_no_token_hides_another(flood):
    """A token that is refused all the time is a few lines, and those about others of its client are there."""
    assert flood.stolen(1000, "noisy") == EACH
    assert flood.stolen(token="quiet") == 1


def test_no_client_hides_another(flood):
    """A client with many tokens fills its own budget, and no other client's."""
    assert sum(flood.stolen(token=str(number), client="noisy") for number in range(1000)) == DEFAULT_LINES
    assert flood.stolen() == 1


def test_lack_of_scope_hides_no_theft(flood):
    """A client that asks for too much all the time hides no use of its token over another connection."""
    lacking = {"who": "billing", "token_id": "stolen", "status": 403}
    assert flood.refuse(1000, "admission.refused", "insufficient_scope", **lacking) == EACH
    assert flood.stolen() == 1


def test_lines_and_memory_are_bounded_however_many_names_there_are(flood):
    """Of a million names there are no more lines, and no more in memory, than of ten clients."""
    lines = sum(flood.stolen(token=str(number), client=str(number)) for number in range(100_000))
    assert lines == 10 * DEFAULT_LINES
    assert flood.lines.budgets == 2 * lines + 1


def test_introspections_of_forged_tokens_take_no_line_of_the_authentic(flood):
    """A resource server that is made to ask about forged tokens hides no authentic one that is refused."""
    forged = {"who": "api", "active": False, "status": 200}
    assert flood.refuse(1000, "token.introspected", None, **forged) == DEFAULT_LINES
    authentic = {**forged, "client_id": "billing", "token_id": "stolen"}
    assert flood.refuse(1000, "token.introspected", None, **authentic) == EACH
    assert flood.refuse(1, "token.introspected", None, **authentic | {"token_id": "other"}) == 1


def test_introspections_of_active_tokens_are_bounded_by_token(flood):
    """An active token is a few lines for each resource server, however often it is used; all are counted."""
    active = {"active": True, "client_id": "billing", "token_id": "one", "status": 200}
    assert flood.refuse(1000, "token.introspected", None, who="api", **active) == EACH
    assert flood.refuse(1000, "token.introspected", None, who="other-api", **active) == EACH
    assert flood.refuse(1, "token.introspected", None, who="api", **active | {"token_id": "two"}) == 1
    flood.lines.flush()
    assert [summary.counts for summary in flood.written] == [{"token.introspected active": 2000 - 2 * EACH}]


def test_active_tokens_are_bounded_in_memory(flood):
    """However many active tokens there are in a while, memory and lines have an end."""
    events = [
        AuditEvent(at=Utc(""), event="token.introspected", active=True, who="api", token_id=str(number))
        for number in range(20_000)
    ]
    assert sum(flood.lines.admits(event) for event in events) == 200 * DEFAULT_LINES
    assert flood.lines.budgets == 200 * DEFAULT_LINES + 1


def test_nothing_is_lost_silently(flood):
    """Refusals that were left out are one line: how many, since when, until when, of which kind and error."""
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
    """The number of refusals left out is written when the process ends, once."""
    flood.refuse(DEFAULT_LINES + 7)
    flood.lines.flush()
    flood.lines.flush()
    assert [summary.count for summary in flood.written] == [7]


def test_the_end_of_a_flood_tells(monkeypatch):
    """A timer writes how many refusals were left out when no request comes any more."""
    monkeypatch.setattr(refusals, "SECONDS", 0.05)
    flood = Flood(is_timed=True)
    flood.refuse(DEFAULT_LINES + 7)
    wait_until(lambda: flood.written)
    assert [summary.count for summary in flood.written] == [7]


def test_no_flood_no_line(flood):
    """No line is written when nothing was left out."""
    flood.refuse(DEFAULT_LINES)
    flood.lines.flush()
    assert flood.written == []


def test_the_bound_can_be_lifted(flood):
    """With 0 every refusal is written."""
    flood.lines.lines = 0
    assert flood.refuse(1000) == 1000


def test_a_child_starts_anew(flood):
    """A child process does not say again what its parent has left out, and has lines of its own."""
    flood.refuse(DEFAULT_LINES + 7)
    flood.lines.forget()
    flood.lines.flush()
    assert flood.written == []
    assert flood.refuse(DEFAULT_LINES) == DEFAULT_LINES


CHILD = """
import os, sys, time
from macaroon_cbat.audit.event import AuditEvent, Utc
from macaroon_cbat.audit import write, write_or_log
from macaroon_cbat.audit.file import write_log_to
write_log_to(sys.argv[1])
for _ in range(500):
    write_or_log(AuditEvent(at=Utc("2026-01-01T00:00:00Z"), event="token.refused", error="invalid_client"))
    write(AuditEvent(at=Utc("2026-01-01T00:00:00Z"), event="token.minted"))
    for active in (True, False):
        write_or_log(AuditEvent(at=Utc("2026-01-01T00:00:00Z"), event="token.introspected", active=active))
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
    introspected = {"token.introspected": EACH + DEFAULT_LINES, "introspections.omitted": 1}
    assert count == introspected | {
        "token.minted": 500,
        "token.refused": DEFAULT_LINES,
        "refusals.omitted": 1,
    }
    left_out = {kind: number for one in found for kind, number in one.get("counts", {}).items()}
    assert left_out == {
        "token.introspected active": 500 - EACH,
        "token.introspected inactive": 500 - DEFAULT_LINES,
        "token.refused invalid_client": 500 - DEFAULT_LINES,
    }
