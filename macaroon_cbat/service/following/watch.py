"""The thread that looks for the followers of a process, as long as there are any."""

import logging
import time
from collections.abc import Callable
from itertools import chain
from threading import Event, Thread

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.server.parking import Fields, ParkedResponse, finish_all
from macaroon_cbat.service.following.follower import Follower
from macaroon_cbat.service.following.followers import Endings, Followers
from macaroon_cbat.service.following.pages import page_text
from macaroon_cbat.service.metrics import count_wait
from macaroon_cbat.stores import Stores
from macaroon_cbat.stores.announcements import Announcements, announcements_of

log = logging.getLogger("macaroon_cbat.service")

SLOW_LOOK_SECONDS = 1.0
"""The longest time between two looks: an announcement may be lost, and so may a right."""

_IDLE_SECONDS = 5.0
_SLICE_SECONDS = 0.2
"""The time after which the thread sees that it should stop."""
_FAILURE_SECONDS = 0.25
_PAUSE_PART = 50e-6
"""The seconds of pause for each wait that ended, for which the loop that answers needs about half."""

_CHUNK = 500
"""The responses that are finished at a time: the loop sends the first ones while more are finished."""

_OK = "200 OK"


class Watch:
    """The followers of one process, and the thread that looks for them."""

    def __init__(self, stores: Stores, clock: Callable[[], float], fields: Fields) -> None:
        """Watch these stores; `fields` are the header fields of every page."""
        self.followers = Followers(stores, clock)
        self._database = stores.database
        self._fields = tuple(fields)
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
        self, follower: Follower, position: int, park: Callable[[Callable[[], None]], ParkedResponse | None]
    ) -> bytes | None:
        """Park the response of a follower that was admitted at this position.

        Return the page that answers it at once if no place is left, else None.
        """

        def on_end() -> None:
            body = self.followers.leave(follower)
            if body is not None:
                count_wait("time")
                finish(_OK, self._fields, body)

        follower.parked = parked = park(on_end)
        if parked is None:
            return page_text(follower.view, follower.position)
        finish = parked.finish
        if not self.followers.join(follower, position):
            finish(_OK, self._fields, page_text(follower.view, follower.position))
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
            ended = 0
            try:
                ended = self.give(self.followers.look())
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
            stopping.wait(_FAILURE_SECONDS if has_failed else min(1.0, ended * _PAUSE_PART))
            self._wait(announcements, stopping)
        self.give(self.followers.end() or {})

    def _wait(self, announcements: Announcements, stopping: Event) -> None:
        until = time.monotonic() + SLOW_LOOK_SECONDS
        while time.monotonic() < until and not stopping.is_set():
            if announcements.wait(_SLICE_SECONDS):
                return

    def give(self, endings: Endings) -> int:
        """Finish the responses of all these waits; return how many there are."""
        for body, followers in endings.items():
            for one in followers:
                if one.parked is None:
                    one.end(body)
            parked = [one.parked for one in followers if one.parked is not None]
            for start in range(0, len(parked), _CHUNK):
                chunk = parked[start : start + _CHUNK]
                finish_all((each, _OK, self._fields, body) for each in chunk)
        for one in chain.from_iterable(endings.values()):
            count_wait("rights" if one.is_suspect else "revocation")
        return sum(map(len, endings.values()))
