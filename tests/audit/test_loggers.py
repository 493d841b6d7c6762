"""The package's own log lines: one request is one line, and a flood of them is bounded."""

import ast
import logging
from pathlib import Path

import pytest

import macaroon_cbat
from macaroon_cbat.audit.loggers import LINES, LOGGERS, SECONDS, LogLines
from macaroon_cbat.files.notices import say_once
from macaroon_cbat.text.printable import MAX_SHOWN, printable
from tests.support.clock import Clock

EVIL = {
    "line feed": "a\n2026-01-01 ERROR forged",
    "carriage return": "a\rforged",
    "next line": "a\x85forged",
    "line separator": "a\u2028forged",
    "paragraph separator": "a\u2029forged",
    "vertical tab": "a\x0bforged",
    "escape": "a\x1b[2J\x1b]0;title\x07",
    "C1 control": "a\x9b2J",
    "DEL": "a\x7f",
    "NUL": "a\0",
    "bidi": "a\u202egnp.exe\u2066",
    "zero width": "a\u200b\ufeff",
    "lone surrogate": "a\ud800\udcff",
    "private": "a\ue000",
}
ROOT = Path(str(macaroon_cbat.__file__)).parent


@pytest.mark.parametrize("text", EVIL.values(), ids=EVIL.keys())
def test_what_does_not_print_is_escaped(text):
    """No text ends a line, moves a cursor or turns the reading direction."""
    shown = printable(text)
    assert shown.isprintable()
    assert shown.splitlines() == [shown]
    assert shown.encode()
    assert shown.startswith("a\\")


def test_what_prints_stays():
    """Text in any script is shown as it is, but for its length."""
    assert printable("Zoë 日本語 a\\b 100%") == "Zoë 日本語 a\\b 100%"
    assert len(printable("x" * 100_000)) == MAX_SHOWN


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def seen(clock):
    """Return a logger as this package guards it, and the lines that came through."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    log = logging.getLogger(f"tests.guarded.{id(lines)}")
    log.addFilter(LogLines(clock))
    handler = Collector()
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    log.addHandler(handler)
    return log, lines


@pytest.mark.parametrize("text", EVIL.values(), ids=EVIL.keys())
def test_an_argument_forges_no_line(seen, text):
    """A record is one printable line, whatever its argument holds."""
    log, lines = seen
    log.error("defect at %s", text)
    [line] = lines
    assert line.splitlines() == [line]
    assert line.isprintable()


def test_an_exception_forges_no_line(seen):
    """Each line of a traceback is indented, those that the exception's own text begins too."""
    log, lines = seen
    try:
        raise ValueError("no\nERROR forged\u2028ERROR forged\x1b[2J")
    except ValueError:
        log.exception("defect at %s", "/a\nERROR forged")
    [text] = lines
    first, *rest = text.splitlines()
    assert first == "ERROR defect at /a\\nERROR forged"
    assert all(line.startswith("    ") for line in rest)
    assert all(line.isprintable() for line in rest)


def test_a_flood_is_bounded_and_says_so(seen, clock):
    """Of one kind of line so many come through in ten seconds; the last and the next say what is missing."""
    log, lines = seen
    for number in range(1000):
        log.warning("refused %d", number)
    log.warning("another kind")
    assert len(lines) == LINES + 1
    assert lines[LINES - 1].endswith(f"(more like this are left out for {SECONDS:.0f} s)")
    clock.now += SECONDS
    log.warning("refused %d", 1000)
    assert lines[-1] == f"WARNING refused 1000 ({1000 - LINES} more like this were left out before)"
    log.warning("refused %d", 1001)
    assert lines[-1] == "WARNING refused 1001"


def loggers_of(file: Path) -> set[str]:
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    named = [call for call in calls if ast.unparse(call.func).endswith("getLogger")]
    return {ast.literal_eval(call.args[0]) for call in named if isinstance(call.args[0], ast.Constant)}


def test_every_logger_is_guarded():
    """No logger of this package is without the filter, but that of the audit log, which is JSON in ASCII."""
    used = set[str]().union(*(loggers_of(file) for file in ROOT.rglob("*.py")))
    assert used - {"macaroon_cbat"} == {f"macaroon_cbat.{name}" for name in (*LOGGERS, "audit")}
    guarded = [logging.getLogger(f"macaroon_cbat.{name}").filters for name in LOGGERS]
    assert [sum(isinstance(one, LogLines) for one in filters) for filters in guarded] == [1] * len(LOGGERS)


def test_messages_of_many_kinds_are_bounded_too(seen):
    """Messages that differ, because they were put together beforehand, are one kind after so many."""
    log, lines = seen
    for number in range(2000):
        log.warning("made up beforehand: %d" % number)  # noqa: UP031 # the case
    assert len(lines) <= 200 + LINES


def _flood(log: logging.Logger) -> None:
    for number in range(LINES + 1):
        log.warning("%s", f"X-HTTP-Method-Override names {number}")


def test_a_flood_hides_no_line_of_another_call(seen):
    """Two calls that say `%s` are two kinds: a holder who floods one hides no remedy that is said once."""
    log, lines = seen
    _flood(log)
    assert say_once(log, "no client certificate reaches this application (a test)")
    assert lines[-1] == "ERROR no client certificate reaches this application (a test)"
