"""Counters that several processes and machines share, in Redis: the wall of the libraries limits and redis.

Flask-Limiter, whose storages these are, is not used itself. Its hooks cost each request 100 microseconds and
more, of the 300 that a token takes. It counts before a client is authenticated, and its memory grows with
each new address.
"""

import hashlib
import logging
import time
from collections.abc import Callable

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import extra
from macaroon_cbat.service.throttle.counters import MOST_REMEMBERED, Count, Counters, MemoryCounters
from macaroon_cbat.service.variables import PREFIX
from macaroon_cbat.text.base64url import encode

log = logging.getLogger("macaroon_cbat.service")

_PATIENCE_SECONDS = 0.25
"""The time that Redis has to answer: a token request waits for it."""
_KNOWN_SECONDS = 1.0
"""The time for which a count is taken as it was: so long may other processes count more unnoticed."""
_AWAY_SECONDS = 5.0
"""The time for which Redis is left alone after it did not answer."""


class RedisCounters:
    """Counters in Redis. While it is out of reach, those in the memory of this process count instead."""

    def __init__(self, url: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Count at this URL; nothing is sent yet. Raises SettingsError, or MissingExtra without redis.

        An option that redis does not know is found here, not by the first request.
        """
        with extra("redis"):
            from limits.errors import StorageError
            from limits.storage import RedisStorage
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        try:
            self._storage = RedisStorage(
                url,
                key_prefix="macaroon_cbat",
                wrap_exceptions=True,
                retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type] # passed on to redis
                socket_timeout=_PATIENCE_SECONDS,
                socket_connect_timeout=_PATIENCE_SECONDS,
            )
            self._storage.storage.connection_pool.make_connection()  # reads the options of the URL
        except (AttributeError, TypeError, ValueError) as error:  # its words may have a part of the password
            raise SettingsError(
                f"{PREFIX}LIMITS_STORAGE is no URL of Redis, or has an option that redis does not know: "
                "write redis://HOST[:PORT][/DATABASE]"
            ) from error
        self._failures = (StorageError, ValueError)
        """ValueError is for a key that holds no number: another user of this Redis wrote it."""
        self._monotonic = monotonic
        self._instead = MemoryCounters(monotonic)
        self._away_until = 0.0
        self._looked: dict[str, tuple[Count, float]] = {}

    def add(self, name: str, seconds: int) -> Count:
        """Count an attempt, in a window of so many seconds if none has begun."""
        key = _key(name)

        def added() -> Count:
            attempts = self._storage.incr(key, seconds)
            return Count(attempts, self._ends_in(key))

        count = self._asked(added, lambda counters: counters.add(name, seconds))
        self._looked.pop(name, None)
        return count

    def look(self, name: str) -> Count:
        """Return the count as it is."""
        now = self._monotonic()
        known, until = self._looked.get(name, (Count(), 0.0))
        if now < until:
            return known

        def looked() -> Count:
            key = _key(name)
            attempts = self._storage.get(key)
            return Count(attempts, self._ends_in(key)) if attempts else Count()

        count = self._asked(looked, lambda counters: counters.look(name))
        if len(self._looked) >= MOST_REMEMBERED:
            self._looked.clear()
        self._looked[name] = count, now + _KNOWN_SECONDS
        return count

    def forget(self) -> None:
        """Forget what this process has looked up and counted; what Redis counts stays."""
        self._looked.clear()
        self._instead.forget()
        self._away_until = 0.0

    def _ends_in(self, key: str) -> int:
        return max(1, round(self._storage.get_expiry(key) - time.time()))

    def _asked(self, ask: Callable[[], Count], instead: Callable[[Counters], Count]) -> Count:
        """Return what Redis answers; a service that waited for it, or refused without it, would be down."""
        if self._monotonic() < self._away_until:
            return instead(self._instead)
        try:
            return ask()
        except self._failures as error:
            self._away_until = self._monotonic() + _AWAY_SECONDS
            log.error("Redis does not count attempts, this process does: %s", error)  # noqa: TRY400 # no defect
            return instead(self._instead)


def _key(name: str) -> str:
    """Return a key that tells nothing of clients and addresses to other users of the same Redis."""
    return encode(hashlib.sha256(name.encode(errors="surrogatepass")).digest())
