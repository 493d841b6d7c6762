"""The table of every case behind every proxy, as an operator of the project prints it."""

import subprocess
from pathlib import Path

import pytest

from tests.support.patience import LONG_TEST

SCRIPT = Path(__file__).parents[2] / "scripts" / "proxy-matrix"
CASES = (
    "no certificate",
    "HTTP/2",
    "another certificate",
    "spoof: exact",
    "targets",
    "WebSocket",
    "document",
)
"""Cases of every table."""


@pytest.mark.timeout(LONG_TEST)
def test_the_table_of_one_proxy_is_right():
    """Every cell of a proxy's rows is as it must be, and each row is printed; tests/proxies has all cases."""
    asked = [word for case in CASES for word in ("--case", case)]
    done = subprocess.run([SCRIPT, *asked, "caddy"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| caddy")]
    assert len(rows) >= 5
    heads = [line for line in done.stdout.splitlines() if line.startswith("|  |")]
    assert {name for line in heads for name in line.removesuffix(" |").split(" | ")[1:]} == {*CASES}
    assert "\u2717" not in done.stdout


def test_an_unknown_proxy_is_refused():
    """A name that is no proxy's is wrong usage; the message names those that are."""
    done = subprocess.run([SCRIPT, "squid"], check=False, capture_output=True, text=True)
    assert (done.returncode, "no proxy squid: name apache, caddy," in done.stderr) == (2, True), done.stderr


def test_an_unknown_case_is_refused():
    """A name that is no case's is wrong usage; nothing passes for want of cases."""
    done = subprocess.run([SCRIPT, "--case", "nonsuch"], check=False, capture_output=True, text=True)
    assert (done.returncode, "no case nonsuch: name " in done.stderr) == (2, True), done.stderr
