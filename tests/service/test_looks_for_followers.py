"""Looks for all followers of a process, one by one: the waits that end, and when a page is complete."""

import json

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


def test_a_look_without_news_ends_nothing(stepped):
    """Nothing ends while nothing is revoked."""
    stepped.waiting()
    assert stepped.look(after=3) == {}
    assert len(stepped.followers) == 1


def test_each_view_gets_its_part(stepped):
    """Followers of different audiences get the decisions about theirs, from one look."""
    first, second, both = stepped.waiting(API), stepped.waiting(OTHER_API), stepped.waiting(API, OTHER_API)
    stepped.revoke("one")
    stepped.revoke("two", audience=OTHER_API)
    pages = {one: names(page) for one, page in stepped.look().items()}
    assert pages == {first: ["one"], second: ["two"], both: ["one", "two"]}


def test_a_follower_that_knows_a_revocation_is_not_told_it_again(stepped):
    """A follower whose first page had a revocation already gets the ones after that."""
    early = stepped.waiting()
    stepped.revoke("known")
    late = stepped.waiting()
    stepped.revoke("new")
    pages = stepped.look()
    assert (names(pages[early]), names(pages[late])) == (["known", "new"], ["new"])
    assert pages[early]["cursor"] == pages[late]["cursor"]


def test_a_follower_that_knows_all_news_goes_on_waiting(stepped):
    """A look ends no wait of a follower to whom nothing in it is new."""
    stepped.revoke("known")
    stepped.waiting()
    assert stepped.look() == {}
    stepped.revoke("new")
    [page] = stepped.look().values()
    assert names(page) == ["new"]


def test_a_moved_position_refuses_a_follower(stepped):
    """A follower that was admitted before the last look does not wait: its own right may be revoked."""
    position, late = stepped.followers.position, stepped.follower()
    stepped.revoke("soon")
    stepped.look()
    assert not stepped.followers.join(late, position)
    assert len(stepped.followers) == 0


def test_a_wait_that_a_look_has_ended_cannot_end_in_vain(stepped):
    """A time-out beside a look must not lead the follower past the news: only one of them ends the wait."""
    follower = stepped.waiting()
    stepped.revoke("soon")
    assert list(stepped.look()) == [follower]
    assert stepped.followers.leave(follower) is None


def test_a_page_is_complete_as_of_the_look(stepped):
    """A page says as of when it is complete: as of its look, never as of a later moment."""
    follower, in_vain = stepped.waiting(), stepped.waiting(OTHER_API)
    stepped.look(after=7.9)
    stepped.now += 2
    [early] = [json.loads(stepped.followers.leave(in_vain))]
    assert early["complete_after"] == 7
    stepped.revoke("soon")
    assert stepped.look(after=2.5)[follower]["complete_after"] == 12


def test_a_page_is_never_complete_before_its_request(stepped):
    """A page whose wait ends before the next look is complete as of its arrival."""
    stepped.look()
    stepped.now += 5
    follower = stepped.waiting()
    stepped.now += 20
    assert json.loads(stepped.followers.leave(follower))["complete_after"] == 0


def test_a_failing_database_makes_nothing_complete(stepped):
    """While the database cannot be read, no wait ends, and pages are complete as of the last look."""
    follower = stepped.waiting()
    stepped.look(after=1)
    with without(stepped.stores, "feed_positions"), pytest.raises(Unavailable):
        stepped.look(after=20)
    assert len(stepped.followers) == 1
    assert stepped.followers.age() == 20
    assert json.loads(stepped.followers.leave(follower))["complete_after"] == 1


def test_registrations_that_cannot_be_read_end_no_wait_with_news(stepped):
    """News are given out only by a look that has seen which followers still have their rights."""
    follower = stepped.waiting()
    stepped.revoke("soon")
    with without(stepped.stores, "clients"), pytest.raises(Unavailable):
        stepped.look(after=2)
    assert names(stepped.look()[follower]) == ["soon"]


def test_an_older_database_ends_all_waits(stepped):
    """Once an operator has restored an older database, every follower asks again."""
    stepped.revoke("one", "two")
    stepped.look()
    follower = stepped.waiting()
    execute(stepped.stores, "UPDATE feed_positions SET position = 1")
    page = stepped.look()[follower]
    assert (names(page), page["complete_after"], sequence(page)) == ([], 0, 2)
    assert stepped.followers.position == 1


def test_many_followers_are_told_to_come_back_one_after_the_other(stepped, monkeypatch):
    """The followers of one look are given a second for each thousand of them, and ten at most."""
    monkeypatch.setattr(followers, "_ASKED_PER_SECOND", 2)
    few = [stepped.waiting()]
    stepped.revoke("one")
    assert [page["ask_within"] for page in stepped.look().values()] == [0] * len(few)
    some = [stepped.waiting() for _ in range(6)]
    stepped.revoke("two")
    assert [page["ask_within"] for page in stepped.look().values()] == [3] * len(some)
    many = [stepped.waiting() for _ in range(50)]
    stepped.revoke("three")
    assert [page["ask_within"] for page in stepped.look().values()] == [10] * len(many)


def test_more_than_a_page_is_no_last_page(stepped):
    """A page that may end before the newest revocation says so, and is complete as of no moment."""
    first = stepped.waiting()
    rows = [
        {"sequence": n, "kind": "token", "value": f"{n:022}", "audience": API, **TIMES}
        for n in range(1, PAGE + 8)
    ]
    with stepped.stores.database.writing() as connection:
        connection.execute(insert(revocations), rows)
        connection.execute(insert(feed_positions).values(feed="revocations", position=PAGE + 7))
    page = stepped.look(after=3)[first]
    assert (len(names(page)), page["is_last"], sequence(page)) == (PAGE, False, PAGE)
    assert stepped.followers.age() == 3
    second = stepped.follower(position=PAGE)
    assert stepped.followers.join(second, PAGE)
    page = stepped.look()[second]
    assert (len(names(page)), page["is_last"], sequence(page)) == (7, True, PAGE + 7)


def test_what_is_revoked_again_during_a_look_is_not_missed(stepped, monkeypatch):
    """A revocation that gets a later place between the statements of a look is on the page all the same."""
    follower = stepped.waiting()
    stepped.revoke("one")
    newest = stepped.stores.revocations.newest

    def newest_and_one_again():
        found = newest()
        stepped.revoke("one")
        return found

    monkeypatch.setattr(stepped.stores.revocations, "newest", newest_and_one_again)
    page = stepped.look()[follower]
    assert (names(page), sequence(page)) == (["one"], 2)


def test_what_was_revoked_again_comes_once(stepped):
    """A revocation that is made again moves in the order, and comes at its new place alone."""
    follower = stepped.waiting()
    stepped.revoke("one", "two", "one")
    page = stepped.look()[follower]
    assert (names(page), sequence(page)) == (["two", "one"], 3)


def test_the_end_of_looking_ends_all_waits(stepped):
    """Once nothing looks any more, no follower waits in vain, and the next one begins anew."""
    stepped.revoke("one")
    stepped.look()
    follower = stepped.waiting()
    stepped.revoke("unseen")
    endings = stepped.followers.end()
    [(body, [ended])] = endings.items()
    assert ended is follower
    assert (sequence(json.loads(body)), names(json.loads(body))) == (1, [])
    assert stepped.followers.position is None
    assert not stepped.followers.join(follower, 1)
    assert stepped.followers.begin()
    assert stepped.followers.position == 2


def test_looking_goes_on_while_any_follower_waits(stepped):
    """The thread that looks ends only when none waits."""
    follower = stepped.waiting()
    assert stepped.followers.end(only_if_idle=True) is None
    stepped.followers.leave(follower)
    assert stepped.followers.end(only_if_idle=True) == {}
