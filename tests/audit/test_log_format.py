"""The forms of the ordinary log, as a collector of logs reads them."""

import json
import logging
import sys

import pytest

from macaroon_cbat.audit.log_format import JsonLines, TextLines

ODD = {
    "a line end": 'a\n{"level":"info"}',
    "quotes": '"},{"level":"error"',
    "an escape sequence": "\x1b[31m",
    "DEL": "\x7f",
    "another script": "\u5b57",
    "beyond the basic plane": "\U0001f600",
    "a lone surrogate": "\ud800",
    "NUL": "\0",
    "separators of JavaScript": "\u2028\u2029",
}


def record(message: str, name: str = "macaroon_cbat.service", **members: object) -> logging.LogRecord:
    """Return a record as logging makes it."""
    made = {
        "name": name,
        "msg": "%s",
        "args": (message,),
        "levelname": "WARNING",
        "created": 1_767_222_000.25,
    }
    return logging.makeLogRecord(made | {"process": 7} | members)


def test_a_line_is_one_object() -> None:
    """A line has the moment, level, logger, message and process, and nothing that is not known."""
    assert json.loads(JsonLines().format(record("something"))) == {
        "at": "2025-12-31T23:00:00.250Z",
        "level": "warning",
        "logger": "macaroon_cbat.service",
        "message": "something",
        "process": 7,
    }


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_no_text_forges_a_line(text: str) -> None:
    """With any text in a message or exception, a line is one line of printable ASCII, and JSON."""
    try:
        raise ValueError(text)
    except ValueError:
        line = JsonLines().format(record(text, exc_info=sys.exc_info()))
    assert all(" " <= character <= "~" for character in line)
    members = json.loads(line)
    assert set(members) == {"at", "level", "logger", "message", "process", "traceback"}
    assert members["message"] == text.encode(errors="backslashreplace").decode()
    assert "ValueError" in members["traceback"]


def test_an_audit_line_is_an_object_in_the_object() -> None:
    """A line of the audit log is no text in quotes, but the member event."""
    line = JsonLines().format(record('{"event":"token.minted","status":200}', "macaroon_cbat.audit"))
    assert json.loads(line)["event"] == {"event": "token.minted", "status": 200}
    assert "message" not in json.loads(line)


def test_a_text_of_another_under_that_name_is_a_message() -> None:
    """A line under the name of the audit log that is no JSON stays a message."""
    assert json.loads(JsonLines().format(record("no JSON", "macaroon_cbat.audit")))["message"] == "no JSON"


def test_a_text_line_is_as_ever() -> None:
    """Lines for people have time, level, logger and message."""
    assert TextLines().format(record("something")).endswith(" WARNING macaroon_cbat.service: something")
