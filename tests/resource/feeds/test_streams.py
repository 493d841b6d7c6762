"""Streams as a follower reads them: what a line confirms, and what ends a stream or keeps it away."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import msgspec
import pytest

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.resource import RevocationFeed
from macaroon_cbat.resource.feeds.waits import LONGEST_SILENT_SECONDS, SILENT_FACTOR, SILENT_SECONDS, Waits
from tests.support.feeds import Feeding
from tests.support.follower import grant_of

SECONDS = 60
Step = Callable[["Streaming"], bytes]


class Streaming:
    """A connection whose streams follow a script, by a clock that it moves; then it is silent."""

    issuer = "https://as.example"

    def __init__(self, *streams: list[Step], pages: float = 0) -> None:
        self._late = pages
        self.now, self.asked = 1000.0, list[tuple[str, str, int]]()
        self.is_over, self._ends = threading.Event(), threading.Event()
        self._streams = iter(streams)

    def revocations(self, after: str, wait: int) -> bytes:
        """Answer at once, or so late with news."""
        self.asked.append(("page", after, wait))
        late = self._late
        return (page(0, "one", after=late, complete_after=int(late)) if late else page())(self)

    def stream(self, after: str, wait: int) -> Iterator[bytes]:
        """Give the next stream of the script."""
        self.asked.append(("stream", after, wait))
        steps = next(self._streams, None)
        if steps is None:
            self.is_over.set()
            assert self._ends.wait(SECONDS)
            raise Unavailable("the test is over")
        for step in steps:
            yield step(self)

    def monotonic(self) -> float:
        """Return the time of the script."""
        return self.now

    def end(self) -> None:
        """Answer the last request."""
        self._ends.set()


def page(position: int = 0, *names: str, after: float = 0.0, **members: object) -> Step:
    """Send a line so many seconds later."""

    def step(streaming: Streaming) -> bytes:
        streaming.now += after
        rows = [["client", name, 1, 2] for name in names]
        return msgspec.json.encode(
            {"cursor": f"view.{position}", "is_last": True, "decisions": rows, **members}
        )

    return step


def text(line: bytes) -> Step:
    """Send this."""
    return lambda _streaming: line


def fails(after: float = 0.0, cause: type[Exception] = ConnectionResetError) -> Step:
    """Fail so many seconds later."""

    def step(streaming: Streaming) -> bytes:
        streaming.now += after
        raise Unavailable("no answer") from cause()

    return step


@pytest.fixture
def follow() -> Iterator[Callable[..., tuple[Streaming, RevocationFeed]]]:
    """Follow a script to its end; the last request is under way then."""
    begun: list[tuple[Streaming, RevocationFeed]] = []

    def follow(*streams: list[Step], pages: float = 0) -> tuple[Streaming, RevocationFeed]:
        streaming = Streaming(*streams, pages=pages)
        feed = RevocationFeed(streaming, monotonic=streaming.monotonic)  # type: ignore[arg-type]
        begun.append((streaming, feed))
        feed.start()
        assert streaming.is_over.wait(SECONDS)
        return streaming, feed

    yield follow
    for streaming, feed in begun:
        feed.stop()
        streaming.end()


def names(feed: RevocationFeed) -> set[str]:
    """Return which of the names of these tests are known as revoked."""
    return {name for name in ("one", "two", "three", "four", "never") if feed.reason(grant_of(name), None)}


def test_each_line_is_applied_as_it_comes(follow):
    """A line is known before the next one comes, and the next stream begins after the last line."""
    seen: list[set[str]] = []

    def look(streaming: Streaming) -> bytes:
        seen.append(names(feeds[0]))
        return page(3, "three")(streaming)

    feeds: list[RevocationFeed] = []
    streaming = Streaming([page(1, "one"), page(2, "two"), look], [page(3)])
    feeds.append(RevocationFeed(streaming, monotonic=streaming.monotonic))  # type: ignore[arg-type]
    feeds[0].start()
    assert streaming.is_over.wait(SECONDS)
    assert seen == [{"one", "two"}]
    assert names(feeds[0]) == {"one", "two", "three"}
    asked = [("page", "0", 0), ("stream", "view.0", 30), ("stream", "view.3", 30), ("stream", "view.3", 30)]
    assert streaming.asked == asked
    feeds[0].stop()
    streaming.end()


def test_a_line_confirms_what_it_says(follow):
    """A stream is as recent as its lines say, counted from its request, and no more recent than now."""
    _, feed = follow([page(), page(after=10, complete_after=9), page(after=10, complete_after=19)])
    assert feed.age() == 1
    _, feed = follow([page(), page(after=10, complete_after=10_000)])
    assert feed.age() == 0


def test_a_line_takes_no_confirmation_back(follow):
    """The last line of a stream that a lost right ends says no more than its request: the others stand."""
    ages: list[float] = []

    def look(streaming: Streaming) -> bytes:
        ages.append(feeds[0].age())
        return page()(streaming)

    confirmed, last = page(after=50, complete_after=49), page(after=20, complete_after=0)
    streaming = Streaming([page(), confirmed, last, look])
    feeds = [RevocationFeed(streaming, monotonic=streaming.monotonic)]  # type: ignore[arg-type]
    feeds[0].start()
    assert streaming.is_over.wait(SECONDS)
    assert ages == [21]
    feeds[0].stop()
    streaming.end()


def test_a_stream_that_hangs_confirms_nothing(follow):
    """The first line confirms the request alone: the feed ages while none comes, and is stale then."""
    streaming, feed = follow([page(), page(1, after=30, is_last=False)])
    assert feed.age() == 30
    streaming.now += 31
    with pytest.raises(Unavailable, match="s old"):
        feed.current()


def test_a_stream_that_breaks_is_asked_for_again(follow):
    """The lines before the break are kept; the next request is confirmed at once, and then streams go on."""
    streaming, feed = follow([page(1, "one"), fails(after=3)], [page(2, "two")])
    assert [(kind, after) for kind, after, _ in streaming.asked] == [
        ("page", "0"),
        ("stream", "view.0"),
        ("page", "view.1"),
        ("stream", "view.0"),
        ("stream", "view.2"),
    ]
    assert names(feed) == {"one", "two"}


@pytest.mark.parametrize(
    "line", [b'{"cursor":"view.5","is_last":tr', b"", b"[]", b'{"cursor":"view.5"}', b"\xff", b"{} {}"]
)
def test_what_is_no_page_is_not_applied(follow, line):
    """A line that is not one whole page ends the stream, and confirms nothing."""
    streaming, feed = follow([page(1, "one"), text(line), page(9, "never")])
    assert names(feed) == {"one"}
    assert streaming.asked[2] == ("page", "view.1", 0)


@pytest.mark.parametrize("cursor", ["view.3", "other.5", "0"])
def test_a_line_out_of_order_is_not_applied(follow, caplog, cursor):
    """A line whose cursor goes back, or is of another view, ends the stream where it was."""
    back = page(0, "never", cursor=cursor)
    streaming, feed = follow([page(4, "four"), back, page(9, "never")])
    assert names(feed) == {"four"}
    assert streaming.asked[2] == ("page", "view.4", 0)
    assert "a stream of https://as.example is out of order: ask its operator" in caplog.text


def test_streams_that_stay_silent_are_done_without(follow, caplog):
    """Two streams without a first line are followed by waits, and the log says so once."""
    caplog.set_level(logging.INFO)
    silent = [fails(5, TimeoutError)]
    streaming, feed = follow(silent, silent, [page()], pages=SILENT_SECONDS)
    kinds = [kind for kind, _, _ in streaming.asked]
    assert kinds[:4] == ["page", "stream", "page", "stream"]
    assert kinds.count("page") == 2 + SILENT_FACTOR
    assert kinds[-2:] == ["stream", "stream"]
    assert caplog.text.count("no stream of revocations comes through") == 1
    assert "cannot be followed" not in caplog.text
    assert names(feed) == {"one"}


def test_a_stream_that_is_late_once_is_tried_again():
    """A service that was busy once is asked for streams soon after."""
    now = [0.0]
    waits = Waits(60, lambda: now[0])
    for _ in range(3):
        waits.silent()
        assert not waits.may_stream(30)
        now[0] += SILENT_SECONDS
        assert waits.may_stream(30)
        waits.streamed()


def test_streams_are_tried_again_within_the_hour():
    """However many streams in a row stay silent, another one is asked for later."""
    now = [0.0]
    waits = Waits(60, lambda: now[0])
    for _ in range(10):
        waits.silent()
    now[0] += LONGEST_SILENT_SECONDS - 1
    assert not waits.may_stream(30)
    now[0] += 1
    assert waits.may_stream(30)


@pytest.mark.parametrize(("max_staleness", "kind"), [(7, "page"), (8, "stream"), (60, "stream")])
def test_a_short_staleness_has_no_streams(max_staleness, kind):
    """A feed that must be confirmed every few seconds asks each time."""
    waits = Waits(max_staleness, lambda: 0.0)
    assert waits.may_stream(waits.seconds(0.0)) is (kind == "stream")


def test_the_service_streams_until_the_right_is_lost(alone: Feeding):
    """One request hears of every revocation but that of its own client, which ends it."""
    with alone.service.running():
        connection = alone.connection()
        cursor = json.loads(connection.revocations("0", 0))["cursor"]
        with closing(connection.stream(cursor, 30)) as lines:
            pages = map(json.loads, lines)
            assert next(pages)["decisions"] == []
            told = (row[1] for page in pages for row in page["decisions"])
            for name in ("one", "two"):
                alone.revoke("client", name)
                assert next(told) == name
            alone.revoke("client", "invoices")
            assert list(told) == []
