"""The keys that issuers publish, remembered for minutes and fetched again when an issuer rotates them."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.files.process_values import PerProcess
from macaroon_cbat.service.federation.jose import PublicKeys, usable_keys
from macaroon_cbat.service.federation.jwt import Jwt
from macaroon_cbat.service.federation.reaching import Place, fetched_key_set
from macaroon_cbat.service.federation.refusals import NoSuchKey
from macaroon_cbat.service.waiting_threads import WaitingThreads

log = logging.getLogger("macaroon_cbat.service")

FRESH_SECONDS = 300.0
"""Seconds for which fetched keys are used: a key that its issuer withdraws is refused after them."""
STALE_SECONDS = 3600.0
"""Seconds for which the keys before are used while their issuer is out of reach."""
ROTATION_SECONDS = 30.0
"""Seconds between two fetches for unknown key names, at least: an attacker may invent names without end."""
RETRY_SECONDS = 10.0
"""Seconds after a failed fetch in which none is tried: a slow issuer would take every thread."""
OTHERS_SECONDS = 1.0
"""Seconds from the beginning of a fetch for which other threads wait for it: one that hangs holds no more."""
MOST_WAITING = 4
"""Threads that ask issuers, or wait for another that does: each for as long as its issuer is slow."""
_MOST_PLACES = 1024


@dataclass(frozen=True, slots=True, eq=False)
class _Published:
    """One key set as it was fetched, and its keys for signatures, if it has any."""

    key_set: dict[str, Any]
    keys: PublicKeys | None
    mistake: str = ""


@dataclass(slots=True)
class _Remembered:
    """The key set of one place, as it was at the last fetch. One thread fetches at a time."""

    lock: Lock = field(default_factory=Lock)
    published: _Published | None = None
    fetched_at: float = 0.0
    retry_at: float = 0.0
    asked_at: float | None = None
    failure: str = "they are being fetched"


class PublishedKeys:
    """Keys by their place. Thread-safe, and safe to fork."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        patience: float = OTHERS_SECONDS,
        threads: WaitingThreads | None = None,
    ) -> None:
        """Let keys grow old by this clock of seconds; `patience` is for the fetch of another thread.

        Only `threads` wait, for an issuer or for another thread.
        """
        self._monotonic, self._patience = monotonic, patience
        self._threads = threads or WaitingThreads(MOST_WAITING)
        self._places: PerProcess[dict[Place, _Remembered]] = PerProcess(dict)

    def verify(self, jwt: Jwt, place: Place, algorithms: Collection[str]) -> None:
        """Raise UnacceptableJwt unless a key at this place signed the token by one of these algorithms.

        Raises Unavailable if the keys cannot be had. A key that is not known is looked for once more at its
        issuer, at a bounded rate.
        """
        known = self._remembered(place)
        found = self._current(place, known)
        try:
            _keys_of(found, place).verify(jwt, algorithms)
        except NoSuchKey:
            newer = self._newer(place, known, found)
            if newer is found:
                raise
            _keys_of(newer, place).verify(jwt, algorithms)

    def key_set(self, place: Place) -> Mapping[str, Any]:
        """Return the JWK Set at a place as it is published, or raise Unavailable."""
        return self._current(place, self._remembered(place)).key_set

    def has(self, place: Place, wanted: Callable[[Mapping[str, Any]], bool]) -> bool:
        """Return True if the key set at a place has what is wanted, or raise Unavailable.

        What is not there is looked for once more at the place, at a bounded rate.
        """
        known = self._remembered(place)
        found = self._current(place, known)
        return wanted(found.key_set) or wanted(self._newer(place, known, found).key_set)

    def _remembered(self, place: Place) -> _Remembered:
        places = self._places.current()
        if place not in places and len(places) >= _MOST_PLACES:
            places.clear()
        return places.setdefault(place, _Remembered())

    def _current(self, place: Place, known: _Remembered) -> _Published:
        """Return a key set that is fresh, or a stale one while there is no fresh one to be had."""
        fresh = self._fresh(known)
        if fresh is not None:
            return fresh
        stale = self._younger(known, STALE_SECONDS)
        if not self._has_turn(known, is_patient=stale is None):
            return _or_unavailable(stale, place, known)
        try:
            fresh = self._fresh(known)  # another thread may have fetched them meanwhile
            return self._fetched(place, known) if fresh is None else fresh
        except Unavailable as error:
            log.warning("the keys of %s are not known anew: %s", place.issuer, error)
            return _or_unavailable(stale, place, known)
        finally:
            known.lock.release()

    def _newer(self, place: Place, known: _Remembered, before: _Published) -> _Published:
        """Return a key set that was fetched after this one, or the same if it is too early for a fetch.

        Raises Unavailable if they cannot be fetched: the key may be a new one.
        """
        if (now := self._monotonic()) < known.retry_at:
            return _or_unavailable(None, place, known)
        if known.published is before and now < known.fetched_at + ROTATION_SECONDS:
            return before
        if not self._has_turn(known):
            return _or_unavailable(None, place, known)
        try:
            if known.published is None or known.published is before:
                return self._fetched(place, known)
            return known.published
        finally:
            known.lock.release()

    def _has_turn(self, known: _Remembered, *, is_patient: bool = True) -> bool:
        """Return True with the lock of a place held, unless its last fetch has just failed, or one hangs."""
        if self._monotonic() < known.retry_at:
            return False
        asked_at = known.asked_at
        left = self._patience if asked_at is None else asked_at + self._patience - self._monotonic()
        if not self._threads.acquire(known.lock, left if is_patient else 0):
            return False
        if self._monotonic() < known.retry_at:  # this thread has waited for the fetch that failed
            known.lock.release()
            return False
        return True

    def _fetched(self, place: Place, known: _Remembered) -> _Published:
        with self._threads.place() as may_wait:
            if not may_wait:
                known.failure = "too many others are slow to answer"
                raise Unavailable(known.failure)
            known.asked_at = self._monotonic()
            try:
                found = _published(fetched_key_set(place))
            except Unavailable as error:
                known.failure, known.retry_at = str(error), self._monotonic() + RETRY_SECONDS
                raise
            finally:
                known.asked_at = None
        known.published, known.fetched_at, known.retry_at = found, self._monotonic(), 0.0
        return found

    def _fresh(self, known: _Remembered) -> _Published | None:
        return self._younger(known, FRESH_SECONDS)

    def _younger(self, known: _Remembered, seconds: float) -> _Published | None:
        return known.published if self._monotonic() < known.fetched_at + seconds else None


def _published(key_set: dict[str, Any]) -> _Published:
    try:
        return _Published(key_set, usable_keys(key_set))
    except ValueError as error:
        return _Published(key_set, None, str(error))


def _keys_of(found: _Published, place: Place) -> PublicKeys:
    """Return the keys for signatures, or raise Unavailable: its owner may mend a set that has none."""
    if found.keys is None:
        raise Unavailable(f"the key set of {place.issuer} is unusable: {found.mistake}")
    return found.keys


def _or_unavailable(stale: _Published | None, place: Place, known: _Remembered) -> _Published:
    if stale is None:
        raise Unavailable(f"the keys of {place.issuer} cannot be had: {known.failure}")
    return stale
