"""One request and its response: the loop hands it to a thread, the thread fills it, the loop empties it."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from macaroon_cbat.thumbprint import DerCertificate
from macaroon_cbat.tls.wsgi import ReadOnlyFileBasedBuffer, Site, Task, error_answer, new_buffer

log = logging.getLogger("macaroon_cbat.tls")

_BUFFER_BYTES = 1 << 20
_WAITING_BYTES = 1 << 24
"""A response may run this far ahead of its reader; then its thread waits."""


class ClientGone(Exception):
    """The client went away while its response was being made."""


class Exchange:
    """What a waitress task takes for its channel. It never touches the socket or TLS."""

    def __init__(
        self,
        request: Any,
        site: Site,
        address: tuple[str, int],
        peer_certificate: DerCertificate | None,
        changed: Callable[[], None],
    ) -> None:
        self.request = request
        self.site = self.server = site
        self.adj = site.adj
        self.addr = address
        self.peer_certificate = peer_certificate
        self.is_finished = False
        self.is_broken = False
        self.keeps_alive = False
        self.is_announced = False
        self._changed = changed
        self._lock = threading.Condition(threading.Lock())
        self._buffers: list[Any] = []
        self._newest_bytes = 0
        self._waiting_bytes = 0
        self._is_abandoned = False

    # In the thread

    def run(self) -> None:
        """Call the application. Whatever it does, the exchange ends finished and announced."""
        task = Task(self, self.request)
        try:
            if not self._is_abandoned:
                task.service()
            self.keeps_alive = not task.close_on_finish
        except ClientGone:
            self.is_broken = True
        except BaseException:
            log.exception("the application failed at %s %s", self.request.command, self.request.path)
            self.is_broken = task.wrote_header
            if not task.wrote_header:
                self._answer_failure()
        finally:
            self.request.close()
            self.is_finished = True
            self.announce()

    def _answer_failure(self) -> None:
        try:
            self.write_soon(error_answer(500))
        except (ClientGone, OSError):
            self.is_broken = True

    def write_soon(self, data: Any) -> int:
        """Queue a part of the response, or raise ClientGone; wait while the reader is too far behind."""
        with self._lock:
            while self._waiting_bytes > _WAITING_BYTES and not self._is_abandoned:
                self.announce()
                self._lock.wait()
            if self._is_abandoned:
                raise ClientGone
            self._append(data)
            self._waiting_bytes += len(data)
        return len(data)

    def _append(self, data: Any) -> None:
        if isinstance(data, ReadOnlyFileBasedBuffer):
            self._buffers.append(data)
            self._newest_bytes = _BUFFER_BYTES
            return
        # A buffer gives its memory back only when it is empty, so a long response takes several.
        if not self._buffers or self._newest_bytes >= _BUFFER_BYTES:
            self._buffers.append(new_buffer())
            self._newest_bytes = 0
        self._buffers[-1].append(data)
        self._newest_bytes += len(data)

    def announce(self) -> None:
        """Tell the loop once that there is something to fetch."""
        if not self.is_announced:
            self.is_announced = True
            self._changed()

    def check_client_disconnected(self) -> bool:
        """Tell the application whether its client is gone."""
        return self._is_abandoned

    # In the loop

    def waiting_bytes(self) -> int:
        """Return how much of the response waits for its reader."""
        return self._waiting_bytes

    def is_blocked(self) -> bool:
        """Tell whether the thread waits for the reader."""
        return self._waiting_bytes > _WAITING_BYTES and not self.is_finished

    def take(self, size: int) -> bytes:
        """Remove and return up to about `size` bytes of the response; nothing when none wait."""
        with self._lock:
            while self._buffers:
                buffer = self._buffers[0]
                data: bytes = buffer.get(size)
                if data:
                    buffer.skip(len(data), True)
                    self._waiting_bytes -= len(data)
                    self._lock.notify()
                    return data
                if len(self._buffers) == 1 and not self.is_finished:
                    return b""
                self._buffers.pop(0).close()
        return b""

    def abandon(self) -> None:
        """Release the thread: nobody reads any more."""
        with self._lock:
            self._is_abandoned = True
            self._waiting_bytes = 0
            for buffer in self._buffers:
                buffer.close()
            self._buffers.clear()
            self._lock.notify()
