"""Long waits of a follower: they neither make it stale nor let it believe that it is current."""

import threading
from collections.abc import Callable, Iterator, Sequence

import msgspec
import pytest

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.resource import RevocationFeed
from macaroon_cbat.resource.feeds.waits import CUT_SECONDS, Waits
from tests.support.patience import SECONDS

Step = Callable[["Scripted", int], dict[str, object]]


class Scripted:
    """A connection whose answers follow a script, by a clock that it moves. After the script it is silent."""

    issuer = "https://as.example"

    def __init__(self, script: Sequence[Step]) -> None:
        self.now, self.waits = 1000.0, list[int]()
        self.is_over = threading.Event()
        self._script, self._ends = iter(script), threading.Event()

    def revocations(self, after: str, wait: int) -> bytes:
        """Return the next page of the script."""
        self.waits.append(wait)
        step = next(self._script, None)
        if step is None:
            self.is_over.set()
            assert self._ends.wait(SECONDS)
            raise Unavailable("the test is over")
        return msgspec.json.encode({"cursor": "c", "is_last": True, "decisions": [], **step(self, wait)})

    def stream(self, after: str, wait: int) -> Iterator[bytes]:
        """Give the next page alone, as a service that knows no streams."""
        yield self.revocations(after, wait)

    def monotonic(self) -> float:
        """Return the time of the script."""
        return self.now

    def end(self) -> None:
        """Answer the last request."""
        self._ends.set()


def answered(**page: object) -> Step:
    """Answer at once."""
    return lambda _scripted, _wait: page


def waited(**page: object) -> Step:
    """Answer at the end of the wait, and a second late."""

    def step(scripted: Scripted, wait: int) -> dict[str, object]:
        scripted.now += wait + 1
        return page

    return step


def complete(scripted: Scripted, wait: int) -> dict[str, object]:
    """Answer at the end of the wait, as of the last second."""
    scripted.now += wait
    return {"complete_after": max(0, wait - 1)}


def cut(after: float) -> Step:
    """Fail after so many seconds, or answer a request that waits for less."""

    def step(scripted: Scripted, wait: int) -> dict[str, object]:
        scripted.now += min(after, wait)
        if wait >= after:
            raise Unavailable("504")
        return {"complete_after": wait}

    return step


@pytest.fixture
def follow() -> Iterator[Callable[..., tuple[Scripted, RevocationFeed]]]:
    """Follow a script to its end; the last request is under way then."""
    begun: list[tuple[Scripted, RevocationFeed]] = []

    def follow(*script: Step, **settings: float) -> tuple[Scripted, RevocationFeed]:
        scripted = Scripted(script)
        feed = RevocationFeed(scripted, monotonic=scripted.monotonic, **settings)  # type: ignore[arg-type]
        begun.append((scripted, feed))
        feed.start()
        assert scripted.is_over.wait(SECONDS)
        return scripted, feed

    yield follow
    for scripted, feed in begun:
        feed.stop()
        scripted.end()


def test_a_page_that_waited_is_as_recent_as_it_says(follow):
    """After 30 seconds of waiting the feed is as old as the service's last look, not as the request."""
    scripted, feed = follow(answered(), complete)
    assert scripted.waits == [0, 30, 29]
    assert feed.age() == 1


def test_an_answer_makes_nothing_more_recent_than_its_arrival(follow):
    """A page is never believed to be complete as of a moment that is still to come."""
    _, feed = follow(answered(), answered(complete_after=10_000))
    assert feed.age() == 0


@pytest.mark.parametrize("claim", [-1, "x", 1.5, None])
def test_an_unusable_claim_confirms_nothing(follow, claim):
    """A page that does not say in whole seconds as of when it is complete is no page."""
    scripted, feed = follow(answered(), answered(complete_after=claim))
    assert scripted.waits == [0, 30, 0]
    scripted.now += 7
    assert feed.age() == 7


def test_a_service_that_hangs_confirms_nothing(follow):
    """While a request waits, the feed ages; it is stale after max_staleness, whatever the wait was."""
    scripted, feed = follow(answered())
    assert scripted.waits == [0, 30]
    scripted.now += 60
    assert len(feed.current()) == 0
    scripted.now += 0.1
    with pytest.raises(Unavailable, match="s old"):
        feed.current()


def test_waits_never_make_a_feed_stale(follow):
    """A service that says nothing of the kind confirms the time of the request: the waits become shorter."""
    ages: list[float] = []

    def late(scripted: Scripted, wait: int) -> dict[str, object]:
        scripted.now += wait + 1
        ages.append(feeds[0].age())
        return {}

    feeds: list[RevocationFeed] = []
    scripted = Scripted([answered(), *[late] * 8])
    feeds.append(RevocationFeed(scripted, monotonic=scripted.monotonic))  # type: ignore[arg-type]
    feeds[0].start()
    assert scripted.is_over.wait(SECONDS)
    assert max(ages) < 60
    assert scripted.waits[-3:] == [20, 19, 20]
    feeds[0].stop()
    scripted.end()


@pytest.mark.parametrize(("max_staleness", "wait"), [(1, 0), (2, 1), (10, 5), (60, 30), (600, 30)])
def test_a_wait_takes_half_of_the_staleness_at_most(max_staleness, wait):
    """A request that comes to nothing leaves time for another before the feed is stale."""
    assert Waits(max_staleness, lambda: 0.0).seconds(0.0) == wait


@pytest.mark.parametrize("age", [60, 61, float("inf")])
def test_a_stale_feed_does_not_wait(age):
    """A feed that is stale is confirmed at once."""
    assert Waits(60, lambda: 0.0).seconds(age) == 0


def test_a_failure_is_followed_by_a_request_that_does_not_wait(follow):
    """After a failure the feed is confirmed at once, and waits again then."""
    scripted, feed = follow(answered(), cut(12), answered())
    assert scripted.waits == [0, 30, 0, 30]
    assert feed.age() == 0


def test_waits_become_shorter_than_a_proxys_patience(follow):
    """Two waits that were cut after the same time make the next ones shorter, and none fails any more."""
    scripted, feed = follow(answered(), *[cut(15)] * 6)
    assert scripted.waits == [0, 30, 0, 30, 0, 12, 12, 12]
    assert feed.age() == 0


def test_a_service_that_restarts_shortens_no_wait():
    """Waits that were cut after different times were not cut by a proxy."""
    waits = Waits(60, lambda: 0.0)
    for lasted in (3.0, 17.0, 25.0, 0.2, 0.2):
        waits.cut(lasted)
    assert waits.seconds(0.0) == 30


def test_the_longest_wait_is_tried_again():
    """A while later waits are long again: the proxy may be another one by then."""
    now = [0.0]
    waits = Waits(60, lambda: now[0])
    for _ in range(2):
        waits.cut(20.0)
    assert waits.seconds(0.0) == 16
    now[0] += CUT_SECONDS
    assert waits.seconds(0.0) == 30


@pytest.mark.parametrize(
    ("within", "max_staleness", "seconds"), [(0, 60, 0), (2, 60, 1.1), (10_000, 60, 5.5), (10, 4, 0.55)]
)
def test_followers_of_one_look_ask_again_one_after_the_other(within, max_staleness, seconds):
    """A follower asks again at a moment of its own, as the service wants it, and long before it is stale."""
    assert Waits(max_staleness, lambda: 0.0, lambda: 0.5).moment(within) == pytest.approx(seconds)


def test_a_page_is_read_at_the_pace_that_it_names(follow, monkeypatch):
    """After a page that many read, a follower pauses; after one with news that few read, it asks at once."""
    paused = []
    monkeypatch.setattr(Waits, "moment", lambda _waits, within: paused.append(within) or 0.0)
    news = [["client", "mallory", 1, 2]]
    follow(answered(), answered(decisions=news, ask_within=4), answered(decisions=news))
    assert paused == [4, 0]


def test_followers_do_not_come_back_together():
    """After the same failures, pauses differ by up to a half."""
    drawn = [Waits(60, lambda: 0.0, lambda drawn=drawn: drawn) for drawn in (0.0, 0.5, 1.0)]  # type: ignore[misc]
    assert [waits.pause(1) for waits in drawn] == [0.125, 0.1875, 0.25]
    assert [waits.pause(9) for waits in drawn] == [2.5, 3.75, 5.0]
