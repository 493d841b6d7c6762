"""One request and its response: a thread makes the response, and the loop sends it."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE, PEER_INTERMEDIATES
from macaroon_cbat.server.parking import PARK, STREAM_BYTES, ParkedResponse
from macaroon_cbat.tls.error_answers import error_answer
from macaroon_cbat.tls.file_body import FileBody
from macaroon_cbat.tls.request import Request
from macaroon_cbat.tls.session import Shown
from macaroon_cbat.tls.site import ClientAddress, Site, is_over_tls
from macaroon_cbat.tls.task import Task
from macaroon_cbat.tls.unsent_bytes import UnsentBytes

log = logging.getLogger("macaroon_cbat.tls")

_WAITING_BYTES = 1 << 24
"""A response may run this far ahead of its reader; then its thread waits."""

_LOOK_SECONDS = 0.05
"""The time after which a thread looks again whether other readers have made room."""


class ClientGone(Exception):
    """The client went away while its response was being made."""


class Exchange:
    """The channel of a task, which touches neither the socket nor TLS."""

    __slots__ = (
        "_changed", "_holder", "_is_abandoned", "_is_started", "_lock", "_room", "_shown", "_unsent",
        "addr", "is_announced", "is_broken", "is_finished", "is_parked", "keeps_alive", "parked", "request",
        "site",
    )  # fmt: skip

    def __init__(
        self,
        request: Request,
        site: Site,
        address: ClientAddress,
        shown: Shown,
        changed: Callable[[], None],
    ) -> None:
        self.request, self.site = request, site
        self.addr = address
        self._shown = shown
        self.is_finished = False
        self.is_broken = False
        self.keeps_alive = False
        self.is_announced = False
        self._changed = changed
        self._lock = threading.Lock()
        self._room: threading.Event | None = None
        self._unsent = UnsentBytes(site.backlog)
        self._is_abandoned = False
        self._is_started = False
        self.parked: ParkedResponse | None = None
        self.is_parked = False
        self._holder: str | None = None
        """The holder of the place that the response has among those that are parked."""

    # In the thread

    def run(self) -> None:
        """Call the application. The exchange ends finished and announced, even if the application fails."""
        task = Task(self.write, self.request, self.site)
        try:
            if self._begin():
                task.run(self.site.application, self._environ())
                self._settle(task)
        except ClientGone:
            self.is_broken = True
        except BaseException:
            log.exception("the application failed at %s %s", self.request.command, self.request.path)
            self.is_broken = task.has_begun
            if not task.has_begun:
                self._answer_failure()
        finally:
            self._end_vain_park()
            self.request.close()
            self.is_finished = not self.is_parked
            self.announce()

    def _environ(self) -> dict[str, Any]:
        """Return the WSGI environment with the certificate of this very connection."""
        environ = self.site.environ(self.request, *self.addr)
        environ[PARK] = self.park
        # The name by which waitress shows its connection, and `certificate.wsgi_servers` finds this one.
        environ["waitress.client_disconnected"] = self.check_client_disconnected
        if is_over_tls(self.addr):  # else the connection itself can show no certificate
            environ[PEER_CERTIFICATE], environ[PEER_INTERMEDIATES] = self._shown
        return environ

    def park(self, seconds: float, on_end: Callable[[], None], holder: str = "") -> ParkedResponse | None:
        """Have no thread make this response, as `server.parking` says; the application calls it."""
        if self._holder is None:
            if not self.site.places.take(holder):
                return None
            self._holder = holder
        can_stream = self.request.version == "1.1" and self.request.command != "HEAD"
        self.parked = ParkedResponse(seconds, on_end, self.announce, can_stream=can_stream)
        return self.parked

    def _settle(self, task: Task) -> None:
        """End the response, or leave it parked, and note how the connection goes on after it."""
        if self.parked is not None and not task.is_answered():
            self.keeps_alive = task.keeps_alive and self.request.version == "1.1"
            self.is_parked = True
        else:
            task.finish()
            self.keeps_alive = task.keeps_alive

    def _end_vain_park(self) -> None:
        """End the wait of an application that has failed or answered itself, or whose client has gone."""
        if self.parked is not None and (self._is_abandoned or not self.is_parked):
            self._leave_parking(self.parked)

    def _leave_parking(self, parked: ParkedResponse) -> None:
        """Give the place back once, and let go of the application's wait."""
        with self._lock:
            holder, self._holder = self._holder, None
        if holder is not None:
            self.site.places.give(holder)
        parked.end_wait()
        parked.release()

    def _begin(self) -> bool:
        """Take the request, unless its client is gone."""
        with self._lock:
            self._is_started = not self._is_abandoned
            return self._is_started

    def _answer_failure(self) -> None:
        head, end, body = error_answer(500).partition(b"\r\n\r\n")
        try:
            self.write(head + end + (b"" if self.request.command == "HEAD" else body))
        except ClientGone:
            self.is_broken = True

    def write(self, data: bytes | FileBody) -> None:
        """Queue a part of the response, or raise ClientGone; wait while the reader is too far behind."""
        while not self._queue(data):
            self.announce()
            room = self._room  # once: the loop sets it to None
            if room is not None:
                room.wait(_LOOK_SECONDS)
        self.announce()

    def _queue(self, data: bytes | FileBody) -> bool:
        """Return False if the reader is too far behind; it sets `_room` when it has taken something."""
        with self._lock:
            if self._is_abandoned:
                raise ClientGone
            if self._must_wait():
                self._room = threading.Event()
                return False
            self._unsent.append(data)
            return True

    def _must_wait(self) -> bool:
        return self._unsent.waiting_bytes > _WAITING_BYTES or self.site.backlog.is_full()

    def announce(self) -> None:
        """Tell the loop once that there is something to send."""
        if not self.is_announced:
            self.is_announced = True
            self._changed()

    def check_client_disconnected(self) -> bool:
        """Return True if the client is gone; an application may ask."""
        return self._is_abandoned

    # In the loop

    def unpark(self, *, is_last: bool) -> bool:
        """Queue what the application gives to its parked response; return True once that is all."""
        parked = self.parked
        if parked is None:
            return False
        self.keeps_alive = self.keeps_alive and not is_last
        is_head = self.request.command == "HEAD"
        texts, is_end = parked.take(is_head=is_head, is_last=not self.keeps_alive)
        with self._lock:
            for text in texts:
                self._unsent.append(text)
        if not is_end or self.is_overrun():
            return False
        self.is_parked, self.is_finished = False, True
        self._leave_parking(parked)
        return True

    def is_overrun(self) -> bool:
        """Return True if the stream must not go on."""
        parked = self.parked
        assert parked is not None
        return parked.is_stream and (parked.is_cut or self._unsent.waiting_bytes > STREAM_BYTES)

    def queued_bytes(self) -> int:
        """Return how many bytes the request holds while no thread has taken it."""
        return 0 if self._is_started else self.request.held_bytes()

    def waiting_bytes(self) -> int:
        """Return how many bytes of the response wait for its reader."""
        return self._unsent.waiting_bytes

    def is_blocked(self) -> bool:
        """Return True if the thread waits for the reader."""
        return self._unsent.waiting_bytes > _WAITING_BYTES and not self.is_finished

    def take(self, size: int) -> bytes:
        """Remove and return up to about `size` bytes of the response; b"" when none wait."""
        with self._lock:
            data = self._unsent.take(size)
            self._make_room()
            return data

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.set()

    def abandon(self) -> None:
        """Release the thread: the client reads no more."""
        with self._lock:
            self._is_abandoned = True
            self._unsent.clear()
            # A thread may work on it for long: it must not keep the connection in memory.
            self._changed = _announce_nothing
            self._make_room()
            if not self._is_started:
                self.request.close()
        if self.parked is not None:
            self._leave_parking(self.parked)


def _announce_nothing() -> None:
    pass
