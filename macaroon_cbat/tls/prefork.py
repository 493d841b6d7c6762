"""Several processes behind one listening socket; one that crashes is replaced, none outlives its parent."""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.tls.loop import Loop
from macaroon_cbat.tls.signals import holding_signals_back, stopping_on_signals

log = logging.getLogger("macaroon_cbat.tls")

_AT_ONCE_SECONDS = 1.0
_PATIENCE = 5
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 5.0
_READY = b"ready"
_POLL_SECONDS = 0.05
_GRACE_SECONDS = 5.0


class Prefork:
    """The parent: it forks, waits and passes signals on; it serves nothing itself."""

    def __init__(
        self, listener: socket.socket, make_loop: Callable[[], Loop], workers: int, seconds: float
    ) -> None:
        self._listener = listener
        self._make_loop = make_loop
        self._workers = workers
        self._seconds_to_finish = seconds + _GRACE_SECONDS
        self._started: dict[int, float] = {}
        self._is_stopping = threading.Event()
        self._deaths_at_once = 0
        self._is_announced = False
        # The children hold the reading end: it ends when the parent does, however that happens.
        self._lifeline, self._life = os.pipe()

    def run(self, announce: Callable[[], None]) -> None:
        """Keep the workers alive until stopped, or raise SettingsError when they cannot live."""
        try:
            with stopping_on_signals(self._stop):
                for report in [self._fork() for _ in range(self._workers)]:
                    self._start(report, announce)
                while not self._is_stopping.is_set():
                    self._watch(announce)
        finally:
            self._stop()
            self._reap_all()
            os.close(self._lifeline)
            os.close(self._life)

    def _stop(self) -> None:
        self._is_stopping.set()
        # Otherwise the kernel goes on taking connections that nobody will accept.
        self._listener.close()
        for pid in self._started:
            os.kill(pid, signal.SIGTERM)

    def _fork(self) -> int:
        report, reporting = os.pipe()
        with holding_signals_back():
            pid = os.fork()
            if pid == 0:
                os.close(report)
                os.close(self._life)
                self._be_worker(reporting)
            self._started[pid] = time.monotonic()
        os.close(reporting)
        if self._is_stopping.is_set():
            os.kill(pid, signal.SIGTERM)
        return report

    def _be_worker(self, reporting: int) -> None:
        status = 1
        try:
            loop = self._make_loop()
            with stopping_on_signals(loop.stop):
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM, signal.SIGINT])
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
            # Exit handlers belong to the parent.
            os._exit(status)

    def _start(self, report: int, announce: Callable[[], None]) -> None:
        """Wait for what a new worker says: that it is ready, why it cannot be, or nothing when it died."""
        with os.fdopen(report, "rb") as file:
            said = file.read()
        if said == _READY:
            if not self._is_announced:
                self._is_announced = True
                announce()
        elif said and not self._is_announced:
            raise SettingsError(said.decode())
        elif said:
            # Others still serve, so this is no reason to stop.
            log.error("a worker cannot start: %s", said.decode())

    def _watch(self, announce: Callable[[], None]) -> None:
        pid, wait_status = self._next_death()
        if pid == 0:
            return
        lived = time.monotonic() - self._started.pop(pid)
        if self._is_stopping.is_set():
            return
        log.error("worker %d ended after %.1f s: %s", pid, lived, _cause(wait_status))
        self._deaths_at_once = self._deaths_at_once + 1 if lived < _AT_ONCE_SECONDS else 0
        if self._deaths_at_once >= _PATIENCE:
            raise SettingsError(
                f"the workers end as soon as they start ({_cause(wait_status)}): the log says why"
            )
        self._is_stopping.wait(min(_FIRST_DELAY * 2**self._deaths_at_once, _LONGEST_DELAY))
        if not self._is_stopping.is_set():
            self._start(self._fork(), announce)

    def _next_death(self) -> tuple[int, int]:
        while not self._is_stopping.is_set():
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in self._started:
                return pid, status
            self._is_stopping.wait(_POLL_SECONDS)
        return 0, 0

    def _reap_all(self) -> None:
        """Wait for the workers to finish; end those that do not."""
        deadline = time.monotonic() + self._seconds_to_finish
        while self._started:
            for pid in list(self._started):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    del self._started[pid]
                elif time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_POLL_SECONDS)


def _cause(wait_status: int) -> str:
    code = os.waitstatus_to_exitcode(wait_status)
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
