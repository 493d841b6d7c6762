"""The thread that looks for the followers of a process, as long as there are any."""

import logging
import time
from collections.abc import Callable
from threading import Event, Thread

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.server.parking import Fields, ParkedResponse, write_all
from macaroon_cbat.service.following.follower import Follower
from macaroon_cbat.service.following.followers import Followers, Told
from macaroon_cbat.service.following.pages import LINES, encoded, page_text
from macaroon_cbat.service.metrics import count_wait
from macaroon_cbat.stores import RevocationPage, Stores
from macaroon_cbat.stores.announcements import Announcements, announcements_of

log = logging.getLogger("macaroon_cbat.service")

SLOW_LOOK_SECONDS = 1.0
"""The longest time between two looks: an announcement may be lost, and so may a right."""

_IDLE_SECONDS = 5.0
_SLICE_SECONDS = 0.2
"""The time after which the thread sees that it should stop."""
_FAILURE_SECONDS = 0.25
_PAUSE_OF_WAIT = 50e-6
"""The seconds of pause for each wait that ended, for which the loop that answers needs about half."""
_PAUSE_OF_LINE = 10e-6
"""The seconds of pause for each line: what the loop has not sent by then goes out with the next line."""

_OF_STREAMS = {
    "Content-Type": LINES,
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}
"""The header fields by which no proxy keeps lines until there are more."""

_OK = "200 OK"


class Watch:
    """The followers of one process, and the thread that looks for them."""

    def __init__(self, stores: Stores, clock: Callable[[], float], fields: Fields) -> None:
        """Watch these stores; `fields` are the header fields of a page, and of a stream with other values."""
        self.followers = Followers(stores, clock)
        self._database = stores.database
        self._fields = tuple(fields)
        self._stream_fields = (
            *((name, value) for name, value in fields if name not in _OF_STREAMS),
            *_OF_STREAMS.items(),
        )
        self._thread: Thread | None = None
        self._stopping = Event()

    def begin(self) -> None:
        """Look from now on, unless the thread does already. Raises Unavailable."""
        if self.followers.begin():
            self._stopping = Event()
            self._thread = Thread(target=self._run, args=(self._stopping,), name="followers", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End all waits, and look no more until the next one begins."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def park(
        self,
        follower: Follower,
        position: int,
        page: RevocationPage,
        park: Callable[[Callable[[], None]], ParkedResponse | None],
        stream_seconds: float,
    ) -> bytes | None:
        """Park the response of a follower that was admitted at this position, and whose first page this is.

        It is a stream for so many seconds, unless they are 0. Return the page if it answers the request at
        once, since no place is left or it has news and cannot be streamed, else None.
        """

        def on_end() -> None:
            body = self.followers.leave(follower)
            if body is not None:
                count_wait("time")
                finish(_OK, self._fields, body)

        first = page_text(follower.view, page.cursor, encoded(page.decisions))
        follower.parked = parked = park(on_end)
        if parked is None:
            return first
        finish = parked.finish
        follower.streams = stream_seconds > 0 and parked.begin(_OK, self._stream_fields, stream_seconds)
        if follower.streams:
            parked.write(first + b"\n")
        if page.decisions and not follower.streams:
            finish(_OK, self._fields, first)
        elif not self.followers.join(follower, position):
            finish(_OK, self._fields, b"" if follower.streams else first)
        elif parked.is_over:  # the client went before it was noted
            on_end()
        return None

    def hold(self, follower: Follower, position: int, seconds: float) -> bytes:
        """Block this thread for so many seconds at most; return the page that ends the wait."""
        follower.holds_a_thread()
        if not self.followers.join(follower, position):
            return page_text(follower.view, follower.position)
        follower.wait(seconds)
        body = self.followers.leave(follower)
        if body is None:
            return follower.ended()
        count_wait("time")
        return body

    def _run(self, stopping: Event) -> None:
        announcements = announcements_of(self._database)
        try:
            self._look_until_idle(announcements, stopping)
        except Exception:
            log.exception("the look for revocations failed: every follower asks again")
            self.give(self.followers.end() or {})
        finally:
            announcements.close()

    def _look_until_idle(self, announcements: Announcements, stopping: Event) -> None:
        idle_since, has_failed = time.monotonic(), False
        while not stopping.is_set():
            pause = 0.0
            try:
                pause = self.give(self.followers.look())
                has_failed = False
            except Unavailable as error:
                if not has_failed:
                    log.error("followers wait, and no revocation is seen: %s", error)  # noqa: TRY400 # no defect of ours
                has_failed = True
            now = time.monotonic()
            if len(self.followers):
                idle_since = now
            elif now >= idle_since + _IDLE_SECONDS and self.followers.end(only_if_idle=True) is not None:
                return
            stopping.wait(_FAILURE_SECONDS if has_failed else min(1.0, pause))
            self._wait(announcements, stopping)
        self.give(self.followers.end() or {})

    def _wait(self, announcements: Announcements, stopping: Event) -> None:
        until = time.monotonic() + SLOW_LOOK_SECONDS
        while time.monotonic() < until and not stopping.is_set():
            if announcements.wait(_SLICE_SECONDS):
                return

    def give(self, told: Told) -> float:
        """Finish the waits and write to the streams; return the seconds to pause after it."""
        lines = ends = 0
        for text, followers in told.items():
            streams = [one.parked for one in followers if one.goes_on() and one.parked is not None]
            write_all(streams, text + b"\n")
            ending = [one for one in followers if not one.goes_on()]
            for one in ending:
                self._end(one, text)
            lines, ends = lines + len(streams), ends + len(ending)
        return lines * _PAUSE_OF_LINE + ends * _PAUSE_OF_WAIT

    def _end(self, one: Follower, text: bytes) -> None:
        count_wait("rights" if one.is_suspect else "revocation")
        if one.parked is None:
            one.end(text)
        else:
            one.parked.finish(_OK, self._fields, text + b"\n" if one.streams else text)
