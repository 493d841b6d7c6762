"""A holder whose clock is wrong learns it, once, whichever library sends its requests."""

import re
import sys
import time
from email.utils import formatdate

import pytest

from macaroon_cbat.client import ClientCertificate
from macaroon_cbat.client.clock import TOLERATED, _told, compare_clocks
from tests.support import fork_server
from tests.support.client_files import make_token
from tests.support.sessions import Sends, session_of
from tests.support.token_server import Server

HOUR = 3600
NONSENSE = (
    "",
    "yesterday",
    "99999999999",
    "Thu, 99 Jan 2026 99:00:00 GMT",
    "Fri, 31 Dec 99999 23:59:59 GMT",
    "\x00",
)


@pytest.fixture(autouse=True)
def _no_clock_known() -> None:
    """Begin as a process does that has asked no server yet."""
    _told.current().clear()


def warnings(log: pytest.LogCaptureFixture) -> list[str]:
    """Return what the holder was told of clocks."""
    return [record.getMessage() for record in log.records if "clock" in record.getMessage()]


def test_a_slow_clock_is_named_once(send: Sends, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """A holder whose children are expired when they arrive is told how slow its clock is, and what to do."""
    for _ in range(3):
        assert send("GET", server.url(f"/clock?ahead={HOUR}")).status_code == 401
    [line] = warnings(caplog)
    assert re.search(r"the clock of this machine is 3[56]\d\d s behind", line)
    assert f"behind that of localhost:{server.port}" in line
    assert "timedatectl set-ntp true" in line


def test_a_fast_clock_is_named_once(send: Sends, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """A holder whose clock is fast is let in, with children that live longer than meant: it is told so."""
    for _ in range(3):
        assert send("GET", server.url(f"/clock?ahead=-{HOUR}")).status_code == 200
    [line] = warnings(caplog)
    assert f"ahead of that of localhost:{server.port}" in line
    assert "a child of 60 s lives so much longer" in line


def test_a_clock_that_was_set_and_goes_wrong_again_is_named_again(
    send: Sends, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Once the clocks agree the warning is over, and a later difference is a new one."""
    for ahead in (HOUR, 0, HOUR):
        send("GET", server.url(f"/clock?ahead={ahead}"))
    assert len(warnings(caplog)) == 2


@pytest.mark.parametrize(
    "query", ["ahead=0", f"ahead=-{HOUR}&age={HOUR}", *(f"ahead=0&date={n}" for n in ("x", "0"))]
)
def test_what_says_nothing_is_no_warning(
    send: Sends, server: Server, caplog: pytest.LogCaptureFixture, query: str
) -> None:
    """A right clock, an answer from a cache and a Date that is none give no warning."""
    assert send("GET", server.url(f"/clock?{query}")).status_code == 200
    assert warnings(caplog) == []


def test_the_token_tells_where_no_date_does(
    library: str, server: Server, certificate: ClientCertificate, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a usable Date a token that was issued in the future shows that the clock is slow."""
    text = make_token(issued_at=int(time.time()) + HOUR)
    with session_of(library, text, certificate, server.ca) as send:
        for _ in range(2):
            send("GET", server.url("/clock?ahead=0&date=x"))
    [line] = warnings(caplog)
    assert "behind the one that its token was issued by (iat)" in line


def test_a_token_client_is_told_as_well(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """A holder that only fetches a token, as `token mint` does, is told by the service's answer."""
    server.client("slow-clock")()
    [line] = warnings(caplog)
    assert f"behind that of localhost:{server.port}" in line


@pytest.mark.parametrize("date", NONSENSE)
def test_no_date_breaks_a_request(date: str, caplog: pytest.LogCaptureFixture) -> None:
    """A Date that cannot be read says nothing and raises nothing."""
    assert not compare_clocks("api.example", date, None, sent=0)
    assert warnings(caplog) == []


def test_small_differences_are_no_matter(caplog: pytest.LogCaptureFixture) -> None:
    """Date counts whole seconds and an answer takes a while: only what is beyond that is a difference."""
    now = time.time()
    for seconds in (-TOLERATED, 0, TOLERATED):
        compare_clocks("api.example", formatdate(now + seconds, usegmt=True), None, sent=now)
    compare_clocks("api.example", formatdate(now - HOUR, usegmt=True), None, sent=now - HOUR)
    assert warnings(caplog) == []


def test_attenuating_by_hand_tells_of_a_slow_clock() -> None:
    """`token attenuate --expires-in` warns of a token from the future, on stderr, and attenuates it."""
    command = [sys.executable, "-m", "macaroon_cbat", "token", "attenuate", "--expires-in", "60"]
    texts = (make_token(issued_at=int(time.time()) + HOUR), make_token())
    late, honest = (
        fork_server.run(command, input=text, capture_output=True, text=True, check=True) for text in texts
    )
    assert "the clock of this machine is" in late.stderr
    assert len(late.stdout.strip()) > len(texts[0])
    assert honest.stderr == ""


def test_one_wrong_clock_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A holder that asks many servers is told once of its slow clock, also where another one agrees."""
    now = time.time()
    for server, ahead in (("auth", HOUR), ("api", HOUR), ("other", 0), ("auth", HOUR)):
        compare_clocks(server, formatdate(now + ahead, usegmt=True), None, sent=now)
    [line] = warnings(caplog)
    assert "behind that of auth" in line
