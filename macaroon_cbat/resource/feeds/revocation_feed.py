"""The revocations of the service: a thread follows them and applies each within a second."""

import logging
import math
import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.errors import Refused, SettingsError, Unavailable
from macaroon_cbat.files import process_values as processes
from macaroon_cbat.files.clock import since_boot
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.revocation import Revocations
from macaroon_cbat.resource.blocking import about_to_block
from macaroon_cbat.resource.feeds.ages import show_age
from macaroon_cbat.resource.feeds.pages import Page, goes_back
from macaroon_cbat.resource.feeds.revocation_snapshot import RevocationSnapshot
from macaroon_cbat.resource.feeds.service_connection import ServiceConnection
from macaroon_cbat.resource.feeds.waits import Waits
from macaroon_cbat.text.json_text import UnusableJson, read_json_text

log = logging.getLogger("macaroon_cbat.resource")

_BEGINNING = "0"
_POLL_SECONDS = 0.5
_FORGET_SECONDS = 60.0
_FIRST_LOAD_SECONDS = 2.0


class RevocationFeed:
    """A RevocationSource that follows the service's feed, from `start` or the first request on.

    The revocations are current for `max_staleness` seconds after the service last confirmed that they were
    complete. Before the first confirmation, and once they are stale, `current` raises Unavailable.

    A process that restarts with a `snapshot` file resumes from the cursor in it. Stored revocations are used
    only after the service has sent everything newer.
    """

    announces_blocking = True

    def __init__(
        self,
        connection: ServiceConnection,
        *,
        max_staleness: float = 60,
        snapshot: Path | str | None = None,
        monotonic: Callable[[], float] = since_boot,
    ) -> None:
        """Read the snapshot; no request is sent yet. Raises SettingsError for unusable settings."""
        if max_staleness < 1:
            raise SettingsError(f"max_staleness must be at least 1 second, not {max_staleness!r}")
        self.issuer = connection.issuer
        self._connection = connection
        self._max_staleness = max_staleness
        self._waits = Waits(max_staleness, monotonic)
        self._monotonic = monotonic
        self._lock = processes.ProcessLock()
        self._thread: Thread | None = None
        self._followed_in: processes.Process | None = None
        self._followed_after_forks = -1
        self._stopping = Event()
        self._started_at = 0.0
        self._cursor, self._read, self._forget_at = _BEGINNING, Revocations(), monotonic()
        self._snapshot = (
            None if snapshot is None else RevocationSnapshot(Path(snapshot), self.issuer, monotonic)
        )
        if self._snapshot is not None and (left := self._snapshot.load()) is not None:
            self._cursor, self._read = left
        self._known: Revocations | None = None
        self._fresh_at = -math.inf
        show_age("revocation", self)

    def __repr__(self) -> str:
        """Show the service, and the number of revocations."""
        return f"<RevocationFeed from {self.issuer}: {self._known!r}>"

    @property
    def followed(self) -> dict[str, str]:
        """The labels of its age among the metrics."""
        return {"issuer": self.issuer}

    def age(self) -> float:
        """Return the seconds since the service last confirmed the revocations; infinite before that."""
        return self._monotonic() - self._fresh_at

    def start(self) -> None:
        """Follow the service, unless this process does already."""
        with self._lock.current():
            process = processes.this_process()
            if self._followed_in == process and self._thread is not None and self._thread.is_alive():
                return
            self._stopping = Event()
            self._started_at = self._monotonic()
            self._thread = Thread(
                target=self._follow, args=(self._stopping,), name="revocations", daemon=True
            )
            self._thread.start()
            self._followed_in, self._followed_after_forks = process, processes.forks

    def stop(self) -> None:
        """Stop after the request under way; the next call of `current` starts anew."""
        self._stopping.set()
        self._thread, self._followed_after_forks = None, -1

    def current(self) -> Revocations:
        """Return the revocations, or raise Unavailable if they are older than `max_staleness`."""
        if self._followed_after_forks != processes.forks:  # a forked child has none of its parent's threads
            self.start()
        known, age = self._known, self.age()
        if known is not None and age <= self._max_staleness:
            return known
        return self._current_after_waiting()

    def _current_after_waiting(self) -> Revocations:
        self.start()  # the thread may have ended, or the server have forked without telling Python
        deadline = self._started_at + _FIRST_LOAD_SECONDS
        while self._known is None and self._monotonic() < deadline:
            about_to_block()
            time.sleep(0.01)  # only at the very start, when the first answer is under way
        known, age = self._known, self.age()
        if known is None:
            raise Unavailable(f"the revocations were never loaded from {self.issuer}")
        if age > self._max_staleness:
            raise Unavailable(f"the revocations from {self.issuer} are {age:.0f} s old")
        return known

    def reason(self, grant: Grant, certificate: Thumbprint | None, /) -> str | None:
        """Return why this grant is refused on a connection with this certificate, or None."""
        return self.current().reason(grant, certificate)

    def _begin(self) -> None:
        """Read the feed from its beginning, and keep what is known: a restored service may have lost it.

        Until that is done, the revocations before go on ageing.
        """
        self._cursor, self._read = _BEGINNING, self._read.copy()

    def _follow(self, stopping: Event) -> None:
        try:
            self._follow_until(stopping)
        finally:
            if self._stopping is stopping:
                self._followed_after_forks = (
                    -1
                )  # ended by a defect: the next call of `current` starts it anew

    def _follow_until(self, stopping: Event) -> None:
        failures = 0
        while not stopping.is_set():
            try:
                pause = self._follow_once(stopping, has_failed=failures > 0)
                failures = 0
            except (Refused, Unavailable, UnusableJson) as error:
                if stopping.is_set():
                    return  # none follows any more: that its last question fails concerns no operator
                failures += 1
                self._say_failed(error, failures)
                pause = self._waits.pause(failures)
            stopping.wait(pause)

    def _follow_once(self, stopping: Event, *, has_failed: bool) -> float:
        """Apply one answer, a page or a stream of them; return the seconds until the next request."""
        started, is_known = self._monotonic(), self._known is self._read
        wait = self._waits.seconds(self.age()) if is_known and not has_failed else 0
        streams, last, heard_at = self._waits.may_stream(wait), None, started
        try:
            with closing(self._pages(wait, streams=streams)) as pages:
                for last in pages:
                    if stopping.is_set():
                        return 0.0  # another thread may be reading by now
                    self._apply(last, started)
                    heard_at = self._monotonic()
        except (Refused, Unavailable, UnusableJson) as error:
            if streams and last is None and isinstance(error.__cause__, TimeoutError):
                self._waits.silent()
                return 0.0
            if wait:
                self._waits.cut(self._monotonic() - heard_at)
            raise
        if last is None or not is_known or has_failed or not last.is_last:
            return 0.0
        # Where the service has no room to wait, it answers at once.
        polled = 0.0 if last.decisions else _POLL_SECONDS - (self._monotonic() - started)
        return max(0.0, polled, self._waits.moment(last.ask_within))

    def _pages(self, wait: int, *, streams: bool) -> Generator[Page, None, None]:
        """Yield the next page, for which the service waits up to `wait` seconds, or those of a stream."""
        if not streams:
            yield read_json_text(self._connection.revocations(self._cursor, wait), Page)
            return
        last = None
        with closing(self._connection.stream(self._cursor, wait)) as lines:
            for line in lines:
                page = read_json_text(line, Page)
                if last is not None and goes_back(last, page.cursor):
                    raise Unavailable(f"a stream of {self.issuer} is out of order: ask its operator")
                last = page.cursor
                self._waits.streamed()
                yield page

    def _apply(self, page: Page, started: float) -> None:
        """Apply one page; after the last one the revocations are complete as of `started` at least.

        A page that waited is complete as of a later moment, which the service counts from the arrival of the
        request: that is after `started`. The time since then is no reason to believe more.
        """
        for decision in page.decisions:
            self._read.apply(decision)
        self._cursor = page.cursor
        if started >= self._forget_at:
            self._read.forget(EpochSeconds(int(time.time())))
            self._forget_at = started + _FORGET_SECONDS
        if page.is_last:
            if self._known is not self._read:
                log.info("%d revocations loaded from %s", len(self._read), self.issuer)
            self._known = (
                self._read
            )  # a process that forks in between must not take the ones before for fresh
            confirmed_at = min(started + page.complete_after, self._monotonic())
            self._fresh_at = max(self._fresh_at, confirmed_at)
            if self._snapshot is not None:
                self._snapshot.keep(self._cursor, self._read)

    def _say_failed(self, error: Exception, failures: int) -> None:
        """Log the first failure in a row; begin again if the service rejects the cursor."""
        if isinstance(error, Refused) and error.status == 400 and self._cursor != _BEGINNING:
            log.warning("reading all revocations again: %s", error)
            self._begin()
        elif failures == 1:
            log.error("the revocations cannot be followed: %s", error)
