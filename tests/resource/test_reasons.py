"""The reasons of refusals for people: in the ordinary log, and in answers where a developer asks for it."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from macaroon_cbat.audit import flush_refusals
from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.audit.loggers import LINES
from macaroon_cbat.macaroon.caveats import Method, PathPrefix, TargetUri
from tests.support.adapters import ADAPTERS, Adapter
from tests.support.forged_tokens import forged
from tests.support.guarded_app import THIEF, bound, call, make_app
from tests.support.tokens import GRANT, NOW, token


@pytest.fixture(params=ADAPTERS.values(), ids=list(ADAPTERS))
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """Each adapter in turn."""
    chosen: Adapter = request.param
    return chosen


REFUSED = {
    "stolen": (
        bound,
        {"certificate": THIEF},
        "a request with an authentic token is refused with 401",
        "bound to",
    ),
    "no certificate": (bound, {"certificate": None}, "401 invalid_token", "presented none"),
    "another target": (
        lambda: bound(TargetUri("https://api.example/x")),
        {},
        "401 invalid_token",
        "only for 'https://api.example/x', not 'https://api.example/invoices'",
    ),
    "another method": (lambda: bound(Method("PUT")), {}, "401 invalid_token", "only for method 'PUT'"),
    "unbound": (token, {}, "401 invalid_token", "no cnf caveat: bind it first"),
    "forged": (lambda: forged(bound()), {}, "a request is refused with 401", "does not follow from key"),
    "rubbish": (lambda: "rubbish", {}, "401 invalid_token", "base64url"),
    "no token": (lambda: None, {}, "401 missing_token", "came: send a certificate-bound"),
    "scope": (bound, {"path": "/root"}, "403 insufficient_scope", "requires scope 'root', and"),
}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings of the ordinary logger."""
    named = [record for record in caplog.records if record.name == "macaroon_cbat.resource"]
    return [record.getMessage() for record in named if record.levelno == logging.WARNING]


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_the_ordinary_log_has_the_reason(app: Flask, caplog, case):
    """Without an audit log each refusal is one warning that says why, and never shows the token."""
    make, options, head, reason = case
    text = make()
    assert call(app, text, **options).status_code in (401, 403)
    [line] = warnings(caplog)
    assert head in line
    assert reason in line
    assert "192.0.2.7" in line
    assert (text or "no token")[-30:] not in line


def test_an_authentic_token_is_named_by_its_id(app: Flask, caplog):
    """The line about an authentic token names its client and its id."""
    call(app, bound(), certificate=THIEF)
    [line] = warnings(caplog)
    assert "billing" in line
    assert GRANT.jti in line


def test_what_was_left_out_is_counted_by_its_kind(app: Flask, caplog):
    """One line says how many refusals the ordinary log left out, and of which kind they were."""
    for _ in range(15):
        call(app, bound(), certificate=THIEF)
    flush_refusals()
    [line] = [one for one in warnings(caplog) if one.startswith("more refusals were left out: ")]
    assert line.endswith(": 5 of admission.refused invalid_token")


@pytest.fixture
def audit_file(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "audit.log"
    write_log_to(str(file))
    yield file
    flush_refusals()
    write_log_to(None)


def test_an_audit_log_has_it_instead(app: Flask, caplog, audit_file: Path):
    """The audit log, where one is set, has the reason, and the ordinary log is quiet."""
    call(app, bound(), certificate=THIEF)
    assert "bound to certificate" in audit_file.read_text()
    assert warnings(caplog) == []


def test_logging_that_takes_audit_lines_has_it_once(app: Flask, log: pytest.LogCaptureFixture):
    """The audit line says it, and no second line does, where the application's own logging takes INFO."""
    call(app, bound(), certificate=THIEF)
    assert len(log.records) == 1


def test_junk_hides_no_stolen_token(app: Flask, caplog):
    """A flood of junk is bounded, and a stolen token after it has its line."""
    for _ in range(LINES * 3):
        call(app, "rubbish")
    assert len(warnings(caplog)) == LINES
    call(app, bound(), certificate=THIEF)
    assert "bound to certificate" in warnings(caplog)[-1]


@pytest.mark.parametrize("evil", ["\r\nforged", "\x1b[2J", "\u2028forged", "x" * 5000])
def test_no_client_writes_a_line_of_its_own(app: Flask, caplog, evil: str):
    """A text that a client wrote is printable and short in the line."""
    call(app, bound(aud=evil))
    lines = warnings(caplog)
    assert lines[-1].isprintable()
    assert len(lines[-1]) < 700


PROGRAM = """
from flask import Flask
from macaroon_cbat.resource import Guard
app = Flask("newcomer")
guard = Guard(app, keys="keys.json")
app.get("/")(guard.require()(lambda: "in"))
app.test_client().get("/", headers={"Authorization": "Bearer rubbish"})
"""


def test_a_program_without_any_logging_shows_it(key_file: Path):
    """A newcomer who has said nothing about logging reads the reason on standard error."""
    command = [sys.executable, "-c", PROGRAM]
    ran = subprocess.run(command, cwd=key_file.parent, capture_output=True, text=True, check=True)
    [line] = ran.stderr.splitlines()
    assert line.startswith("a request is refused with 401 invalid_token: ")
    assert line.endswith(" (from 127.0.0.1)")


EXPLAINED = {
    "forged": (lambda: forged(bound()), 401, "the signature does not follow from key 'k1'"),
    "an unknown key": (
        lambda: bound(kid="k9"),
        401,
        "no key 'k9' for 'https://api.example'",
    ),
    "a path": (lambda: bound(PathPrefix("/x")), 401, "path: only for '/x', not '/invoices'"),
    "no token": (lambda: None, 401, "no Authorization header"),
}


@pytest.mark.parametrize(("make", "status", "reason"), EXPLAINED.values(), ids=EXPLAINED)
def test_a_developer_reads_the_reason_in_the_answer(adapter: Adapter, make, status: int, reason: str):
    """With explain=True the answer says all that the log says; without it, it does not."""
    explaining, silent = adapter.make(explain=True), adapter.make()
    reply = adapter.call(explaining, make())
    assert reply.status == status
    assert reply.json()["error_description"].startswith(reason)
    assert reason not in adapter.call(silent, make()).body.decode()


def test_explaining_is_announced_loudly(caplog):
    """A guard that explains says at the start that it is for development alone."""
    make_app()
    assert warnings(caplog) == []
    make_app(explain=True)
    [line] = warnings(caplog)
    assert "explain=True tells every client the whole reason" in line
    assert "development" in line


def test_explaining_lets_no_client_in(adapter: Adapter):
    """A guard that explains refuses what others refuse."""
    app = adapter.make(explain=True)
    statuses = [
        adapter.call(app, text, certificate=certificate).status
        for text, certificate in ((bound(), THIEF), (token(), None), (bound(exp=NOW - 30), None), ("x", None))
    ]
    assert statuses == [401] * 4
