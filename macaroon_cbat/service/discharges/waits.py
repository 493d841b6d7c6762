"""The requests of one process that wait for a person to decide, and the thread that looks for decisions."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from macaroon_cbat.errors import Unavailable

log = logging.getLogger("macaroon_cbat.service")

_LOOK_SECONDS = 0.2


@dataclass(eq=False, slots=True)
class Wait:
    """A request that waits under the secret of its client. Any thread may call `end`, which answers it.

    `address` is that of the client, or None if it is not known.
    """

    secret: str
    address: str | None
    end: Callable[[], Any]


class Waits:
    """Places for waits: few, and none that an attacker can keep. Thread-safe.

    Any client may begin to wait. If all places are taken, a newcomer gets one: that of the address with the
    most, or the one that has waited longest. The client that lost it is led to wait on, as after any wait.
    """

    def __init__(self, decided: Callable[[set[str]], set[str]]) -> None:
        """Look by this function: it returns those among the secrets about which a person has decided."""
        self._decided = decided
        self._lock = threading.Lock()
        self._waiting: dict[Wait, None] = {}
        """Oldest first."""
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        """Return the number of requests that wait."""
        return len(self._waiting)

    def begin(self, wait: Wait, places: int) -> None:
        """Let a request wait. If so many do already, another wait ends."""
        loser = None
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._look, name="approvals", daemon=True)
                thread.start()
                self._thread = thread
            if len(self._waiting) >= places:
                loser = self._loser(wait.address)
                del self._waiting[loser]
            self._waiting[wait] = None
        if loser is not None:
            loser.end()

    def leave(self, wait: Wait) -> bool:
        """Give the place back; return False if the wait was ended before."""
        with self._lock:
            return self._waiting.pop(wait, False) is None

    def end(self, secrets: set[str]) -> None:
        """End the waits under these secrets."""
        with self._lock:
            ended = [wait for wait in self._waiting if wait.secret in secrets]
            for wait in ended:
                del self._waiting[wait]
        for wait in ended:
            wait.end()

    def _loser(self, newcomer: str | None) -> Wait:
        held = Counter(wait.address for wait in self._waiting)
        held[newcomer] += 1
        return max(self._waiting, key=lambda wait: held[wait.address])  # the oldest of equals

    def _look(self) -> None:
        """Look for the decisions that other processes record, until no request waits."""
        has_failed = False
        while secrets := self._secrets_or_end():
            try:
                self.end(self._decided(secrets))
                has_failed = False
            except Unavailable as error:
                if not has_failed:
                    log.error("clients wait, and no decision of a person is seen: %s", error)  # noqa: TRY400 # no defect of ours
                has_failed = True
            time.sleep(_LOOK_SECONDS)

    def _secrets_or_end(self) -> set[str]:
        """Return the secrets under which requests wait; without any, the thread is about to end."""
        with self._lock:
            if not self._waiting:
                self._thread = None
            return {wait.secret for wait in self._waiting}
