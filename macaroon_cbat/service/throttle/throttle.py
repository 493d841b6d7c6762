"""The rules about attempts: pairs of client and address that are locked, and addresses that try too much.

Secrets of clients are random, 128 bits at least, so that no guess succeeds. A lock-out therefore must cost
its victims less than it gains. It concerns the pair of a client and an address: an attacker elsewhere locks
nothing for the client. It concerns secrets alone: certificates, keys and assertions are never locked. A pair
that has authenticated before may fail ten times as often, so that an attacker behind the same gateway or
proxy does not lock it out in passing. One wrong secret, sent again and again, is one guess.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv6Address

from macaroon_cbat.certificate.address import plain_address
from macaroon_cbat.errors import TooManyRequests
from macaroon_cbat.service.throttle.counters import Count, Counters, MemoryCounters
from macaroon_cbat.service.throttle.settings import USUAL_THROTTLE, ThrottleSettings

_MINUTE, _HOUR = 60, 3600
_PROVEN_SECONDS, _MOST_PROVEN = 86_400.0, 20_000
_PATIENCE = 10
"""The failures of a pair that has authenticated before, in those of one that never has."""


class Throttle:
    """The limits of one service. An address that is not known is not limited: others may share the place."""

    def __init__(
        self,
        settings: ThrottleSettings = USUAL_THROTTLE,
        counters: Counters | None = None,
        *,
        locked: Callable[[str, str], None] = lambda *_: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Count by these counters; `locked` is told the client and the address of each new lock."""
        self._settings = settings
        self._counters = counters or MemoryCounters(monotonic)
        self._locked = locked
        self._monotonic = monotonic
        self._proven: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._wrong: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._salt = os.urandom(16)

    def adjust(self, settings: ThrottleSettings) -> None:
        """Judge by other limits from now on; what was counted stays counted."""
        self._settings = settings

    def forget(self) -> None:
        """Forget what this process remembers of attempts."""
        self._counters.forget()
        self._proven.clear()
        self._wrong.clear()

    def refuse_guessing(self, client_id: str, address: str | None) -> None:
        """Raise TooManyRequests if no secret of this client is judged from this address now."""
        place = _place(address)
        if place is None:
            return
        allowed = self._allowed(client_id, place)
        if allowed and (count := self._counters.look(_pair(client_id, place))).attempts >= allowed:
            raise _too_many(f"the secret of {client_id[:64]!r} was wrong too often from {place}", count)
        limit = self._settings.address_failures
        if limit and not self._is_proven(client_id, place):
            count = self._counters.look(f"failures {place}")
            if count.attempts >= limit:
                raise _too_many(f"too many authentications failed from {place}", count)

    def failed(self, client_id: str, address: str | None, *, secret: str | None) -> None:
        """Count a failed authentication; another secret than before brings the pair nearer to its lock."""
        place = _place(address)
        if place is None:
            return
        if self._settings.address_failures:
            self._counters.add(f"failures {place}", _MINUTE)
        allowed = self._allowed(client_id, place)
        if secret is not None and allowed and self._is_another_guess(client_id, place, secret):
            count = self._counters.add(_pair(client_id, place), self._settings.lockout_seconds)
            if count.attempts == allowed:
                self._locked(client_id, place)

    def _is_another_guess(self, client_id: str, place: str, secret: str) -> bool:
        """Return False for the wrong secret that the pair sent last, which an attacker learns nothing from.

        A program whose secret was replaced sends the old one with every request, until it has the new one.
        """
        digest = blake2b(secret.encode("utf-8", "surrogatepass"), key=self._salt, digest_size=16).digest()
        last = self._wrong.get((client_id[:64], place))
        self._wrong[client_id[:64], place] = digest
        if len(self._wrong) > _MOST_PROVEN:
            self._wrong.popitem(last=False)
        return last != digest

    def succeeded(self, client_id: str, address: str | None) -> None:
        """Remember the pair, and raise TooManyRequests if the client makes more requests than it may."""
        place = _place(address)
        if place is not None:
            self._proven[client_id, place] = self._monotonic()
            if len(self._proven) > _MOST_PROVEN:
                self._proven.popitem(last=False)
        self._count("client", client_id, self._settings.client_requests, _MINUTE)

    def public(self, address: str | None) -> None:
        """Count a request in the name of a public client, or raise TooManyRequests."""
        self._count("public", _place(address), self._settings.public_requests, _MINUTE)

    def registration(self, address: str | None) -> None:
        """Count a registration, or raise TooManyRequests.

        All who register share the places of unused clients, and one network of IPv6 has 65,536 of those that
        `_place` tells apart: it gets as many as ten addresses. What one place has beyond its own limit counts
        for its network no more, or it would use up that of its neighbours.
        """
        limit = self._settings.registrations
        self._count("registration", _place(address), limit, _HOUR)
        self._count("registration", _network(address), limit * 10, _HOUR)

    def login(self, address: str | None) -> None:
        """Count a page or login of a person, or raise TooManyRequests."""
        self._count("login", _place(address), self._settings.logins, _MINUTE)

    def _count(self, kind: str, name: str | None, limit: int, seconds: int) -> None:
        if limit and name is not None:
            count = self._counters.add(f"{kind} {name}", seconds)
            if count.attempts > limit:
                raise _too_many(f"{name} sends more than {limit} {kind} requests in {seconds} s", count)

    def _allowed(self, client_id: str, place: str) -> int:
        """Return the failures after which the pair is locked; 0 for never."""
        return self._settings.lockout_failures * (_PATIENCE if self._is_proven(client_id, place) else 1)

    def _is_proven(self, client_id: str, place: str) -> bool:
        at = self._proven.get((client_id, place))
        return at is not None and self._monotonic() - at < _PROVEN_SECONDS


def _pair(client_id: str, place: str) -> str:
    return f"pair {place} {client_id[:64]}"


@lru_cache(4096)
def _place(address: str | None) -> str | None:
    """Return the address as limits know it: of IPv6 the network of 64 bits, which one client may have."""
    found = None if address is None else plain_address(address)
    if isinstance(found, IPv6Address):
        return _first_bits(found, 64)
    return None if found is None else str(found)


def _network(address: str | None) -> str | None:
    """Return the network of 48 bits, which one site may have of IPv6; None for another address."""
    found = None if address is None else plain_address(address)
    return _first_bits(found, 48) if isinstance(found, IPv6Address) else None


def _first_bits(address: IPv6Address, bits: int) -> str:
    return f"{IPv6Address(int(address) >> (128 - bits) << (128 - bits))}/{bits}"


def _too_many(reason: str, count: Count) -> TooManyRequests:
    error = TooManyRequests(f"{reason}: wait {count.ends_in} s", max(1, count.ends_in))
    error.told = f"too many attempts: wait {count.ends_in} s"
    return error
