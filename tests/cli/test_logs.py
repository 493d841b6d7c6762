"""The log of a server on standard error, under text of an attacker from every source that writes to it."""

import json
import re
import subprocess
import sys

import pytest

from tests.support.command_line import ROOT

FORGED = "2026-01-01 00:00:00,000 WARNING macaroon_cbat.service: forged"
_SOURCES = r"""
import asyncio, json, logging, sys, threading, warnings
from macaroon_cbat.cli.logs import set_log

set_log("text", "info")
TEXT = json.loads(sys.argv[1])


def fail():
    try:
        raise KeyError(TEXT)
    except KeyError as error:
        error.add_note(TEXT)
        raise ValueError(TEXT) from error


for name in ("macaroon_cbat.service", "werkzeug", "an application"):
    log = logging.getLogger(name)
    log.error("%s", TEXT)
    log.error("an object: %s", {TEXT: Exception(TEXT)})
    try:
        fail()
    except ValueError:
        log.exception("defect at %s", TEXT)
    log.error("%s", TEXT, stack_info=True)
logging.getLogger("a name\n" + TEXT).error("x")
warnings.warn(TEXT)
thread = threading.Thread(target=fail)
thread.start()
thread.join()
loop = asyncio.new_event_loop()
loop.call_soon(fail)
loop.call_soon(loop.stop)
loop.run_forever()
loop.close()
"""


@pytest.mark.parametrize("end", ["\n", "\r\n", "\x85", "\u2028", "\x0b", "\x1b[1000D", "\ud800\n"], ids=ascii)
def test_no_source_forges_a_line(end: str) -> None:
    """Every line is of the log, or indented below one; nothing in it moves a cursor."""
    text = json.dumps(f"a{end}{FORGED}{end}")
    done = subprocess.run([sys.executable, "-c", _SOURCES, text], capture_output=True, cwd=ROOT, check=True)
    lines = done.stderr.decode().removesuffix("\n").split("\n")
    assert len(lines) > 60
    for line in lines:
        assert line.isprintable()
        assert re.match(r"    |[0-9]{4}-[0-9-]{5} [0-9:,]{12} [A-Z]+ ", line)
    assert not [line for line in lines if line.startswith(FORGED)]
