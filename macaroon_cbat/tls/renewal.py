"""The duties of a serving process toward files that are replaced: each second, and at once after SIGHUP."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from macaroon_cbat.files.followed import LOOK_SECONDS, Followed
from macaroon_cbat.server.prefork import Serving
from macaroon_cbat.server.service_manager import Watchdog, telling_of_reload
from macaroon_cbat.tls.server_certificate import ServerCertificate

log = logging.getLogger("macaroon_cbat.tls")

_RENEW_SECONDS = 3600.0
_TURN_SECONDS = 0.25
_PATIENCE_SECONDS = 5.0


class Hangups:
    """The count of SIGHUPs, which a signal handler adds to: it must not touch a lock."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def hear(self) -> None:
        """Count one more."""
        self.count += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """The duties of a process beside loading a new server certificate."""

    others: Sequence[Followed[Any]] = ()
    """Further values that the process follows."""

    on_hangup: Callable[[], object]
    """Called after SIGHUP, before the certificate is read again."""

    renew: Callable[[], object]
    """Called after SIGHUP and once an hour, unless `is_quiet`; it may replace the certificate's files."""

    on_certificate: Callable[[int], object]
    """Called with the second at which the certificate in force expires."""

    before_hangup: Callable[[], object] = lambda: None  # a field's default
    """Called after SIGHUP, before all else, unless `is_quiet`."""

    is_quiet: bool = False
    """True if another process warns of files that cannot be used, renews, and talks to the manager."""

    is_alive: Callable[[], bool] = lambda: True  # a field's default
    """Return True if the process serves, as the service manager's watchdog asks."""


class Following:
    """The server certificate as one process follows it."""

    def __init__(
        self,
        certificate: ServerCertificate,
        hangups: Hangups,
        duties: Duties,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with the next SIGHUP: earlier ones are obeyed already, for the files are read after this."""
        self._certificate, self._hangups, self._duties = certificate, hangups, duties
        self._monotonic = monotonic
        self._heard = hangups.count
        self._watchdog = Watchdog(monotonic)
        self._look_at = monotonic() + LOOK_SECONDS
        self._renew_at = monotonic() + _RENEW_SECONDS
        for one in (certificate.followed, *duties.others):
            one.is_quiet = duties.is_quiet
        duties.on_certificate(certificate.expires)

    def tick(self) -> None:
        """Do the duties that are due, several times a second. The process goes on if one fails."""
        if not self._duties.is_quiet:
            self._watchdog.look(is_alive=self._duties.is_alive())
        count = self._hangups.count
        is_asked, self._heard = count != self._heard, count
        with telling_of_reload() if is_asked and not self._duties.is_quiet else nullcontext():
            self._do(is_asked=is_asked)

    def _do(self, *, is_asked: bool) -> None:
        now, is_quiet = self._monotonic(), self._duties.is_quiet
        if is_asked and not is_quiet:
            _safely(self._duties.before_hangup)
        if is_asked:
            _safely(self._duties.on_hangup)
        if not is_quiet and (is_asked or now >= self._renew_at):
            self._renew_at = now + _RENEW_SECONDS
            _safely(self._duties.renew)
        if is_asked or now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            _safely(lambda: self._follow(anyway=is_asked))
            for one in self._duties.others:
                _safely(partial(one.look, anyway=is_asked))

    def _follow(self, *, anyway: bool) -> None:
        if self._certificate.look(anyway=anyway):
            self._duties.on_certificate(self._certificate.expires)


@dataclass(frozen=True, slots=True)
class FollowingLoop:
    """A loop that serves while its process follows the files."""

    loop: Serving
    following: Following
    on_stop: Callable[[], object]

    def run(self, lifeline: int | None = None) -> None:
        """Serve until stopped, or until the other end of the lifeline pipe is gone.

        A thread of its own follows the files: a disk that hangs must not hold up the loop.
        """
        is_over = threading.Event()
        thread = threading.Thread(target=self._follow, args=[is_over], name="followed files", daemon=True)
        thread.start()
        try:
            self.loop.run(lifeline)
        finally:
            is_over.set()
            thread.join(_PATIENCE_SECONDS)

    def _follow(self, is_over: threading.Event) -> None:
        while not is_over.wait(_TURN_SECONDS):
            self.following.tick()

    def stop(self) -> None:
        """Finish what is under way and return from `run`; called by a signal handler."""
        self.on_stop()
        self.loop.stop()


def _safely(do: Callable[[], object]) -> None:
    try:
        do()
    except Exception:
        log.exception("cannot follow the server's files")
