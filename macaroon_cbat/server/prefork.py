"""Worker processes behind one listening socket. A crashed one is replaced, and none outlives its parent."""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.server.service_manager import tell_ready, tell_stopping
from macaroon_cbat.server.signals import (
    calling_on_signals,
    holding_signals_back,
    leave_signals_to_the_parent,
)

log = logging.getLogger("macaroon_cbat.tls")

_AT_ONCE_SECONDS = 1.0
"""A worker that ends sooner cannot work: a file or setting is broken."""
_PATIENCE = 5
"""Workers in a row that end at once, after which the parent gives up."""
_FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
"""Seconds before a dead worker is replaced; they double with each one that ends at once."""
_READY = b"ready"
_POLL_SECONDS = 0.05
_GRACE_SECONDS = 5.0
"""Seconds beyond the workers' own limit, after which the parent kills them."""


class Serving(Protocol):
    """The work of a worker process."""

    def run(self, lifeline: int | None = None) -> None:
        """Serve until stopped, or until the other end of the lifeline pipe is closed."""

    def stop(self) -> None:
        """Finish what is under way and return from `run`; called by a signal handler."""


class Prefork:
    """The parent process: it forks, waits and forwards signals, and serves nothing itself."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        workers: int,
        seconds_to_finish: float,
        tick: Callable[[], None] | None = None,
    ) -> None:
        """Close the listeners on a stop signal; call `tick` every 50 ms while no worker starts."""
        self._listeners = listeners
        self.tick = tick
        self._workers = workers
        self._seconds_to_finish = seconds_to_finish + _GRACE_SECONDS
        self._ready_since: dict[int, float | None] = {}
        self._is_stopping = False
        self._deaths_at_once = 0
        self._is_announced = False
        # The workers hold the reading end, which closes with the parent, even if that is killed.
        self._lifeline, self._life = os.pipe()

    def run(self, make_loop: Callable[[], Serving], announce: Callable[[], None]) -> None:
        """Replace dead workers until stopped. Raises SettingsError if workers cannot start."""
        self._make_loop, self._announce = make_loop, announce
        with calling_on_signals(self._stop):
            try:
                self._start(self._workers)
                while not self._is_stopping:
                    self._replace_dead()
            finally:
                if not self._is_stopping:
                    self._stop()
                self._reap_all()
                os.close(self._lifeline)
                os.close(self._life)

    def _replace_dead(self) -> None:
        dead = self._bury()
        if not dead:
            self._pause(_POLL_SECONDS)
            return
        self._judge(dead)
        self._pause(min(_FIRST_DELAY * 2 ** min(self._deaths_at_once, _PATIENCE + 1), LONGEST_DELAY))
        self._start(len(dead))

    def _stop(self) -> None:
        if not self._is_stopping:
            tell_stopping()
        self._is_stopping = True
        # Otherwise the kernel goes on taking connections that no worker will accept.
        for listener in self._listeners:
            listener.close()
        self.signal_workers(signal.SIGTERM)

    def signal_workers(self, number: signal.Signals) -> None:
        """Send each worker a signal."""
        for pid in self._ready_since:
            # The signal may come between a worker's end and the removal of its id.
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _pause(self, seconds: float) -> None:
        # No Event: a signal handler that sets it can deadlock with the wait that it interrupts.
        deadline = time.monotonic() + seconds
        while not self._is_stopping and time.monotonic() < deadline:
            if self.tick is not None:
                self.tick()
            time.sleep(_POLL_SECONDS)

    # Starting

    def _start(self, count: int) -> None:
        """Fork workers and wait until each reports that it is ready, reports why not, or ends."""
        for pid, report in [self._fork() for _ in range(count) if not self._is_stopping]:
            with os.fdopen(report, "rb") as file:
                said = file.read()
            if said == _READY:
                self._ready_since[pid] = time.monotonic()
                if not self._is_announced:
                    self._is_announced = True
                    self._announce()
                    tell_ready(f"serving with {self._workers} workers")
            elif said and not self._is_announced:
                raise SettingsError(said.decode())
            elif said:
                # Other workers may still serve, so the parent goes on.
                log.error("worker %d cannot start: %s", pid, said.decode())

    def _fork(self) -> tuple[int, int]:
        report, reporting = os.pipe()
        with holding_signals_back():
            pid = os.fork()
            if pid == 0:
                os.close(report)
                os.close(self._life)
                self._be_worker(reporting)
            self._ready_since[pid] = None
        os.close(reporting)
        return pid, report

    def _be_worker(self, reporting: int) -> None:
        status = 1
        try:
            leave_signals_to_the_parent()
            loop = self._make_loop()
            with calling_on_signals(loop.stop, (signal.SIGTERM,)):
                os.write(reporting, _READY)
                os.close(reporting)
                loop.run(self._lifeline)
            status = 0
        except SettingsError as error:
            os.write(reporting, str(error).encode())
        except BaseException:
            log.exception("a worker failed")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # Exit handlers are the parent's: they would remove its files.
            os._exit(status)

    # Ending

    def _bury(self) -> list[tuple[int, int, float | None]]:
        """Return process id, wait status and time of readiness of each worker that has died."""
        dead = []
        for pid in list(self._ready_since):
            buried, status = os.waitpid(pid, os.WNOHANG)
            if buried:
                dead.append((pid, status, self._ready_since.pop(pid)))
        return dead

    def _judge(self, dead: list[tuple[int, int, float | None]]) -> None:
        """Log each death. Raises SettingsError if workers in a row end at once.

        While an older worker serves, the parent goes on: a broken file must not end the service.
        """
        for pid, status, ready_since in dead:
            lived = 0.0 if ready_since is None else time.monotonic() - ready_since
            log.error("worker %d ended after %.1f s: %s", pid, lived, _cause(status))
            self._deaths_at_once = self._deaths_at_once + 1 if lived < _AT_ONCE_SECONDS else 0
            if self._deaths_at_once >= _PATIENCE and not self._has_old_worker():
                raise SettingsError(
                    f"the workers end as soon as they start ({_cause(status)}): the log says why"
                )

    def _has_old_worker(self) -> bool:
        readies = [since for since in self._ready_since.values() if since is not None]
        return bool(readies) and time.monotonic() - min(readies) >= _AT_ONCE_SECONDS

    def _reap_all(self) -> None:
        """Wait for the workers to finish; kill those that do not in time."""
        deadline = time.monotonic() + self._seconds_to_finish
        while self._ready_since:
            self._bury()
            if time.monotonic() > deadline:
                for pid in self._ready_since:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_POLL_SECONDS)


def _cause(wait_status: int) -> str:
    code = os.waitstatus_to_exitcode(wait_status)
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
