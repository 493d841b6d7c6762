"""Streams of revocations: each news comes once, in order, to those alone that have a right to it."""

from functools import partial

import pytest

from macaroon_cbat.macaroon.revocation import Revocation
from macaroon_cbat.stores.revocations import record
from tests.support.databases import NOW, execute
from tests.support.lost_rights import LOSSES
from tests.support.resource_server import register, rewritten, token_for_service
from tests.support.service import API, ISSUER, OTHER_API
from tests.support.streaming_followers import ACCEPT, stream
from tests.support.tls_servers import wait_until
from tests.support.waiting_followers import WaitingFollowers


def register_all(service):
    register(service, "invoices", serves=(API,))
    register(service, "others", serves=(OTHER_API,))
    register(service, "both", serves=(API, OTHER_API, ISSUER))
    return service


@pytest.fixture
def followers(on_each_database, certificate):
    found = WaitingFollowers(register_all(on_each_database), certificate, parks=True)
    yield found
    found.close()


@pytest.fixture
def on_sqlite(service, certificate):
    found = WaitingFollowers(register_all(service), certificate, parks=True)
    yield found
    found.close()


def revoke(followers, *names, kind="token", audience=API):
    for name in names:
        times = {"now": NOW, "expires_at": NOW + 600}
        followers.service.stores.revocations.revoke(kind, name, audience=audience, **times)


def names(page):
    return [value for _, value, _, _ in page["decisions"]]


def position(page):
    return int(page["cursor"].partition(".")[2])


def test_a_stream_begins_at_once_and_goes_on(followers):
    """The first line confirms what is known, and each revocation is a line of the same stream."""
    revoke(followers, "before")
    streamed = stream(followers)
    first = streamed.line()
    assert (names(first), first["is_last"], first["complete_after"]) == ([], True, 0)
    for name in ("one", "two", "three"):
        revoke(followers, name)
        page = streamed.line()
        assert (names(page), page["is_last"]) == ([name], True)
        assert followers.ask(page["cursor"]).json["decisions"] == []
    assert len(followers.registered) == 1


def test_a_stream_is_kept_by_no_proxy(on_sqlite):
    """The head says that the answer is lines, which no proxy keeps, changes, or holds back."""
    streamed = stream(on_sqlite)
    streamed.line()
    head = streamed.head.decode().split("\r\n")
    assert head[0] == "HTTP/1.1 200 OK"
    for field in (
        "Content-Type: application/x-ndjson",
        "Cache-Control: no-store, no-transform",
        "X-Accel-Buffering: no",
        "Transfer-Encoding: chunked",
    ):
        assert head.count(field) == 1
    assert not any(field.startswith("Content-Length") for field in head)


def test_what_was_revoked_before_is_on_the_first_line(on_sqlite):
    """A follower that comes back with its cursor gets what it has missed, and then what is new."""
    stream(on_sqlite).line()
    cursor = on_sqlite.ask().json["cursor"]
    revoke(on_sqlite, "missed")
    wait_until(lambda: on_sqlite.registered.position == position(on_sqlite.ask().json))
    streamed = stream(on_sqlite, after=cursor)
    assert names(streamed.line()) == ["missed"]
    revoke(on_sqlite, "new")
    assert names(streamed.line()) == ["new"]


def test_a_storm_reaches_each_stream_in_order(followers):
    """Streams that begin and run while much is revoked get every revocation, once and in order."""
    expected = [f"{number:04}" for number in range(60)]
    early = stream(followers)
    for number, name in enumerate(expected):
        revoke(followers, name)
        if number == 30:
            late = stream(followers, after=early.line()["cursor"])
    heard = early.news()
    assert [next(heard) for _ in expected] == expected
    assert followed(followers, late, len(expected)) == expected


def followed(followers, streamed, count):
    """Return so many names in the order in which a stream tells them, and those after it, if it ends."""
    told = []
    while len(told) < count:
        page = streamed.line() if streamed.parked is not None else streamed.answered.pop()[1]
        if page is not None:
            told += names(page)
            cursor = page["cursor"]
        if streamed.is_ended or streamed.parked is None:
            streamed = stream(followers, after=cursor)
    return told


def test_streams_hear_of_their_own_audiences_alone(followers):
    """No line tells of an audience that the follower does not serve, not even by its number of decisions."""
    streams = [stream(followers, name).news() for name in ("invoices", "others", "both")]
    revoke(followers, "ours")
    revoke(followers, "theirs", audience=OTHER_API)
    revoke(followers, "all", kind="client", audience=None)
    told = [list(iter(partial(next, heard), "all")) for heard in streams]
    assert told == [["ours"], ["theirs"], ["ours", "theirs"]]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_right_ends_a_stream_without_news(on_sqlite, loss):
    """A follower that loses its right hears nothing more: its stream ends, its next request is refused."""
    token = token_for_service(on_sqlite.service, "invoices")
    streamed = stream(on_sqlite, token=token)
    first = streamed.line()
    LOSSES[loss](on_sqlite.service, token)
    told = streamed.rest()
    assert [names(page) for page in told] == [[]] * len(told)
    assert {page["cursor"] for page in told} == {first["cursor"]}
    assert {page["complete_after"] for page in told} == {0}
    revoke(on_sqlite, "later")
    assert on_sqlite.ask(after=first["cursor"], token=token).status_code in (400, 401, 403)
    assert len(on_sqlite.registered) == 0


@pytest.mark.parametrize("kind", ["client", "certificate"])
def test_what_comes_with_the_loss_of_a_right_is_not_told(on_sqlite, kind):
    """Revocations of the very transaction that takes the right away are kept from the stream."""
    streamed = stream(on_sqlite)
    name = {"client": "invoices", "certificate": on_sqlite.certificate.thumbprint}[kind]
    times = {"revoked_at": NOW + 2, "expires_at": NOW + 600}
    with on_sqlite.service.stores.database.writing() as writer:
        record(writer, Revocation(kind=kind, value=name, **times))
        record(writer, Revocation(kind="token", value="news", **times), API)
    assert "news" not in str(streamed.rest())


def test_an_audience_that_is_taken_away_is_not_told(followers):
    """A stream ends once its client serves fewer audiences, before it hears of the one that was taken."""
    streamed = stream(followers, "both")
    streamed.line()
    rewritten(followers.service, "both", scope="read keys revocations", serves=(API,))
    told = streamed.rest()
    revoke(followers, "taken", audience=OTHER_API)
    assert [names(page) for page in told] == [[]] * len(told)


def test_an_older_database_ends_streams(on_sqlite):
    """After a restore no line follows that would have the cursor of another past."""
    revoke(on_sqlite, "one", "two")
    streamed = stream(on_sqlite)
    before = streamed.line()
    execute(on_sqlite.service.stores, "UPDATE feed_positions SET position = 1")
    assert {page["cursor"] for page in streamed.rest()} == {before["cursor"]}
    assert on_sqlite.ask(after=before["cursor"]).status_code == 400


@pytest.mark.parametrize("accept", ["application/json", "*/*", "application/x-ndjson;q=0, */*", "text/html"])
def test_a_follower_of_earlier_days_waits(on_sqlite, accept):
    """A stream is for those alone that name its type; the others wait on the same watch."""
    waiting, streamed = stream(on_sqlite, accept=accept), stream(on_sqlite)
    streamed.line()
    assert waiting.parked.answer is None
    revoke(on_sqlite, "soon")
    assert names(streamed.line()) == ["soon"]
    wait_until(lambda: waiting.parked.answer is not None)
    assert ("Content-Type", "application/json") in waiting.parked.answer.fields
    assert (waiting.parked.is_stream, streamed.parked.answer) == (False, None)


def test_a_request_that_cannot_stream_waits(on_sqlite):
    """HTTP/1.0 and HEAD get the page that ends a wait, or at once what is new."""
    cursor = on_sqlite.ask().json["cursor"]
    waiting = stream(on_sqlite, can_stream=False)
    revoke(on_sqlite, "soon")
    wait_until(lambda: waiting.parked.answer is not None)
    assert b"soon" in waiting.parked.answer.body
    wait_until(lambda: on_sqlite.registered.position == position(on_sqlite.ask().json))
    at_once = stream(on_sqlite, after=cursor, can_stream=False)
    assert at_once.parked is None or b"soon" in at_once.parked.answer.body


@pytest.mark.parametrize("accept", [ACCEPT, "application/json"])
def test_no_wait_is_no_stream(on_sqlite, accept):
    """A request that does not wait is answered by one page."""
    answered = stream(on_sqlite, wait=0, accept=accept)
    [(status, page)] = answered.answered
    assert (status, names(page), answered.parked) == ("200 OK", [], None)


def test_the_end_of_a_stream_tells_nothing_new(on_sqlite):
    """A stream whose time is over ends without a line: the next request begins where the last line was."""
    streamed = stream(on_sqlite)
    first = streamed.line()
    assert 240 <= streamed.parked.seconds <= 300
    revoke(on_sqlite, "elsewhere", audience=OTHER_API)
    streamed.parked.end_wait()
    assert {page["cursor"] for page in streamed.rest()} <= {first["cursor"]}
    assert len(on_sqlite.registered) == 0


def test_a_silent_stream_is_confirmed(on_sqlite):
    """Without news a line comes as often as the follower has asked, and says since when it is complete."""
    streamed = stream(on_sqlite, wait=1)
    ages = [streamed.line()["complete_after"] for _ in range(4)]
    assert ages[0] == 0
    assert ages == sorted(ages)
    assert ages[-1] >= 1
