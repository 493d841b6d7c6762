"""The audience's keys from the service, over mutual TLS, with a snapshot for the next start."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Annotated

from msgspec import Meta, Raw, Struct

from macaroon_cbat.errors import Refused, SettingsError, Unavailable, UnknownKey
from macaroon_cbat.files.clock import since_boot
from macaroon_cbat.files.process_values import ProcessLock
from macaroon_cbat.macaroon.audiences import audience_setting
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.keys import AudienceKey, AudienceKeys, read_key_file, write_key_file
from macaroon_cbat.resource.blocking import about_to_block
from macaroon_cbat.resource.feeds.ages import show_age
from macaroon_cbat.resource.feeds.service_connection import ServiceConnection
from macaroon_cbat.resource.feeds.snapshot import read_snapshot, write_snapshot
from macaroon_cbat.text.json_text import UnusableJson, read_json_text

log = logging.getLogger("macaroon_cbat.resource")

PAUSE_SECONDS = 2.0
"""Seconds between two requests to the service for keys that are not loaded."""

FIRST_LOAD_SECONDS = 2.0
"""Seconds for which requests wait for the first keys of a process, which one of them fetches."""

_RETRY_SECONDS = 10.0
_REFRESH_PART = 0.8


class _Answer(Struct, frozen=True):
    audiences: Annotated[list[Raw], Meta(min_length=1, max_length=1)]
    expires_in: Annotated[int, Meta(gt=0)]


class KeyFeed:
    """A KeySource that fetches the keys of one audience from the service and keeps them up to date.

    They are refreshed before they expire, in a thread of their own, and when a token names a key that is not
    loaded: one request fetches them then, and others with such tokens are Unavailable meanwhile. While the
    service is out of reach the loaded keys stay in force. A process that restarts with a `snapshot` file does
    not need the service; the file holds the keys and has mode 0600.
    """

    announces_blocking = True

    def __init__(
        self,
        connection: ServiceConnection,
        audience: str,
        *,
        snapshot: Path | str | None = None,
        monotonic: Callable[[], float] = since_boot,
    ) -> None:
        """Read the snapshot; keys are fetched when the first token comes. May raise SettingsError."""
        self.issuer, self.audience = connection.issuer, audience_setting(audience)
        self._connection = connection
        self._snapshot = None if snapshot is None else Path(snapshot)
        self._monotonic = monotonic
        self._lock = ProcessLock()
        self._keys = AudienceKeys(self.issuer, self.audience, {})
        self._refresh_at = self._ask_again_at = 0.0
        self._confirmed_at = -math.inf
        self._failure: str | None = None
        self._first_asked_at: float | None = None
        if self._snapshot is not None and (content := read_snapshot(self._snapshot)) is not None:
            self._keys = self._fitting(read_key_file(content, f"the snapshot {self._snapshot}"))
        show_age("key", self)

    def __repr__(self) -> str:
        """Show whose keys they are."""
        return f"<KeyFeed for {self.audience} from {self.issuer}>"

    @property
    def followed(self) -> dict[str, str]:
        """The labels of its age among the metrics."""
        return {"issuer": self.issuer, "audience": self.audience}

    @property
    def kids(self) -> frozenset[str]:
        """The names of the keys that are loaded."""
        return frozenset(self._keys.keys)

    def age(self) -> float:
        """Return the seconds since the service last gave the keys; infinite before the first time."""
        return self._monotonic() - self._confirmed_at

    def key_for(self, unverified: Grant, /) -> AudienceKey:
        """Return the key that the grant names. Raises UnknownKey, or Unavailable without an answer."""
        keys = self._keys
        if keys.keys and self._monotonic() >= self._refresh_at:
            self._refresh_aside()
        try:
            return keys.key_for(unverified)
        except UnknownKey:
            if unverified.aud != self.audience:
                raise
        return self._after_asking(unverified)

    def _after_asking(self, unverified: Grant) -> AudienceKey:
        self._ask_alone(unverified)
        try:
            return self._keys.key_for(unverified)
        except UnknownKey:
            if self._failure is None:
                raise
        raise Unavailable(
            f"key {unverified.kid!r} is not loaded, and the service gives no keys: {self._failure}"
        )

    def _ask_alone(self, unverified: Grant) -> None:
        """Fetch the keys if that is due, or raise Unavailable while another request, or a refresh, does."""
        if self._monotonic() < self._ask_again_at:
            return
        about_to_block()
        if self._first_asked_at is None:
            self._first_asked_at = self._monotonic()
        patience = self._first_asked_at + FIRST_LOAD_SECONDS - self._monotonic()
        lock = self._lock.current()
        if not lock.acquire(timeout=max(0.0, patience)):
            raise Unavailable(f"key {unverified.kid!r} is not loaded, and {self.issuer} has not answered yet")
        try:
            if unverified.kid not in self._keys.keys and self._monotonic() >= self._ask_again_at:
                self._refresh()
        finally:
            lock.release()

    def _refresh_aside(self) -> None:
        """Refresh in a thread of its own, so that no request waits; one at a time."""
        lock = self._lock.current()
        if not lock.acquire(blocking=False):
            return

        def refresh() -> None:
            try:
                self._refresh()
            finally:
                lock.release()

        self._refresh_at = self._monotonic() + _RETRY_SECONDS
        try:
            Thread(target=refresh, name="key-feed", daemon=True).start()
        except RuntimeError as error:  # no more threads
            lock.release()
            log.error("the keys for %s are not refreshed: %s", self.audience, error)  # noqa: TRY400 # no defect of ours

    def _refresh(self) -> None:
        """Fetch the keys; on failure keep the loaded ones, log it once, and try again later."""
        started = self._monotonic()
        try:
            answer = read_json_text(self._connection.keys(self.audience), _Answer)
            keys = self._fitting(read_key_file(bytes(answer.audiences[0]), "the answer of the service"))
        except (Refused, Unavailable, SettingsError, UnusableJson) as error:
            if self._failure is None:
                log.error("keeping the %d keys for %s: %s", len(self._keys.keys), self.audience, error)  # noqa: TRY400 # no defect of ours
            self._failure = str(error)
            self._refresh_at = started + _RETRY_SECONDS
        else:
            self._failure = None
            self._confirmed_at = started
            self._refresh_at = started + _REFRESH_PART * answer.expires_in
            self._take(keys)
        self._ask_again_at = self._monotonic() + PAUSE_SECONDS

    def _take(self, keys: AudienceKeys) -> None:
        if keys == self._keys:
            return
        self._keys = keys
        log.info("keys for %s: %s", self.audience, ", ".join(keys.keys))
        if self._snapshot is not None:
            write_snapshot(self._snapshot, [write_key_file(keys)])

    def _fitting(self, keys: AudienceKeys) -> AudienceKeys:
        """Return the keys, or raise SettingsError if they are another issuer's or audience's."""
        if (keys.issuer, keys.audience) != (self.issuer, self.audience):
            raise SettingsError(
                f"these keys are for {keys.audience} from {keys.issuer}, not for {self.audience} from "
                f"{self.issuer}: name another snapshot file, or remove this one"
            )
        return keys
