"""Looks for streams, one by one: what each is told, and as of when that is complete."""

import pytest
from sqlalchemy import insert

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.service.following import followers
from macaroon_cbat.stores.revocations import PAGE
from macaroon_cbat.stores.schema import feed_positions, revocations
from tests.support.databases import execute, opened, url_in, without
from tests.support.resource_server import TIMES
from tests.support.service import API, OTHER_API
from tests.support.stepped_followers import Stepped, names, sequence


@pytest.fixture
def stepped(tmp_path):
    stores = opened(url_in(tmp_path))
    yield Stepped(stores)
    stores.database.close()


def test_a_stream_goes_on_after_news(stepped):
    """A stream is told of every revocation after its first page, each once; a wait beside it ends."""
    streaming, waiting = stepped.streaming(), stepped.waiting()
    stepped.revoke("one")
    told = stepped.look()
    assert [names(told[one]) for one in (streaming, waiting)] == [["one"], ["one"]]
    assert stepped.look() == {}
    stepped.revoke("two", "three")
    assert names(stepped.look()[streaming]) == ["two", "three"]
    assert len(stepped.followers) == 1


def test_streams_need_not_come_back(stepped, monkeypatch):
    """Only waits that end are told to spread their next requests."""
    monkeypatch.setattr(followers, "_ASKED_PER_SECOND", 1)
    streams, waits = [stepped.streaming() for _ in range(5)], [stepped.waiting() for _ in range(3)]
    stepped.revoke("one")
    told = stepped.look()
    assert [told[one]["ask_within"] for one in (*streams, *waits)] == [0] * 5 + [3] * 3


def test_streams_that_all_end_come_back_one_after_the_other(stepped, monkeypatch):
    """Streams that end at once are told to spread their next requests."""
    monkeypatch.setattr(followers, "_ASKED_PER_SECOND", 1)
    streams = [stepped.streaming() for _ in range(5)]
    execute(stepped.stores, "INSERT INTO feed_positions (feed, position) VALUES ('revocations', 1)")
    stepped.look()
    execute(stepped.stores, "UPDATE feed_positions SET position = 0")
    told = stepped.look()
    assert [told[one]["ask_within"] for one in streams] == [5] * 5
    assert len(stepped.followers) == 0


def test_a_silent_stream_is_confirmed_in_time(stepped):
    """A line comes at the pace that was asked for, complete as of the look, and never later."""
    slow, fast = stepped.streaming(), stepped.streaming(beats_every=4)
    told = [stepped.look(after=1.5) for _ in range(8)]
    seconds = [{one: page["complete_after"] for one, page in each.items()} for each in told]
    assert seconds == [{}, {}, {fast: 4}, {}, {}, {fast: 9}, {slow: 10}, {fast: 12}]
    assert all(page["is_last"] and names(page) == [] for each in told for page in each.values())


def test_a_confirmation_passes_what_concerns_others(stepped):
    """The cursor of a silent stream goes on, so that its follower never reads the same place twice."""
    streaming = stepped.streaming()
    stepped.revoke("elsewhere", audience=OTHER_API)
    assert stepped.look(after=2) == {}
    assert sequence(stepped.look(after=9)[streaming]) == 1


def test_a_failing_database_confirms_nothing(stepped):
    """While the database cannot be read no line comes, and the next one makes up for it."""
    streaming = stepped.streaming()
    with without(stepped.stores, "feed_positions"), pytest.raises(Unavailable):
        stepped.look(after=30)
    assert stepped.look()[streaming]["complete_after"] == 30


def test_a_stream_that_ends_is_told_no_place(stepped):
    """The end of a stream beside a look must not lead it past the news that are on their way."""
    streaming = stepped.streaming()
    stepped.revoke("soon")
    stepped.look()
    assert stepped.followers.leave(streaming) == b""
    assert stepped.followers.leave(streaming) is None


def test_a_stream_that_began_ahead_of_the_look_never_goes_back(stepped):
    """A stream whose first page has more than the look is confirmed at its own place."""
    stepped.revoke("known")
    ahead = stepped.follower()
    ahead.streams, ahead.beats_every = True, 10
    ahead.position = 5
    assert stepped.joins(ahead)
    assert sequence(stepped.look(after=1)[ahead]) == 5
    stepped.revoke("two", "three", "four", "five")
    assert stepped.look() == {}
    stepped.revoke("six")
    page = stepped.look()[ahead]
    assert (names(page), sequence(page)) == (["six"], 6)


def test_more_than_a_page_comes_in_lines(stepped):
    """Many revocations come in several lines, of which the last alone confirms."""
    streaming = stepped.streaming()
    rows = [
        {"sequence": n, "kind": "token", "value": f"{n:022}", "audience": API, **TIMES}
        for n in range(1, PAGE + 8)
    ]
    with stepped.stores.database.writing() as connection:
        connection.execute(insert(revocations), rows)
        connection.execute(insert(feed_positions).values(feed="revocations", position=PAGE + 7))
    first, second = stepped.look()[streaming], stepped.look()[streaming]
    assert (len(names(first)), first["is_last"], sequence(first)) == (PAGE, False, PAGE)
    assert (len(names(second)), second["is_last"], sequence(second)) == (7, True, PAGE + 7)


def test_a_line_amid_many_revocations_confirms_nothing(stepped):
    """A stream that is silent while the look has not read everything is told so."""
    streaming = stepped.streaming()
    row = {"sequence": 1, "kind": "token", "value": "elsewhere", "audience": OTHER_API, **TIMES}
    with stepped.stores.database.writing() as connection:
        connection.execute(insert(revocations), [row])
        connection.execute(insert(feed_positions).values(feed="revocations", position=PAGE + 7))
    page = stepped.look(after=11)[streaming]
    assert (names(page), page["is_last"], sequence(page)) == ([], False, PAGE)


def test_a_lost_right_ends_a_stream_where_it_was(stepped):
    """The last line of a stream has the cursor of the line before, and confirms nothing."""
    streaming = stepped.streaming()
    stepped.revoke("one")
    stepped.look()
    stepped.stores.revocations.revoke("client", "invoices", now=TIMES["revoked_at"], expires_at=2**40)
    page = stepped.look(after=1)[streaming]
    assert (names(page), sequence(page), page["complete_after"]) == ([], 1, 0)
    assert streaming.is_suspect
    assert len(stepped.followers) == 0
