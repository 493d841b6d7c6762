"""The requests of this process that wait for a revocation.

One look at the database serves all of them. It ends the waits that a revocation concerns; a stream gets a
line and goes on. It ends those of followers whose rights may be lost: they must ask again, and are admitted
or refused then.
"""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.revocation import Revocations
from macaroon_cbat.service.following.follower import Follower
from macaroon_cbat.service.following.pages import encoded, page_text
from macaroon_cbat.stores import Client, Stores
from macaroon_cbat.stores.revocation_news import News, RevocationNews, decision_of
from macaroon_cbat.stores.waiting_clients import clients_named

RIGHTS_SECONDS = 1.0
"""The time between two looks at the registrations of the clients that wait."""

_LONGEST_ASK_WITHIN = 10
_ASKED_PER_SECOND = 1000
"""The requests a second that followers of one look send: a process answers twice as many, and others too."""

Told = dict[bytes, list[Follower]]
"""The followers that are told something, by the page that they get: many get the same.

The waits among them end, and so do the streams that are suspect.
"""


class Followers:
    """Followers, and the position in the feed up to which their waits were judged. Thread-safe.

    A request takes the position before it is admitted. A revocation that comes meanwhile moves the position,
    and `join` refuses the follower then: its own rights may be revoked.
    """

    def __init__(
        self, stores: Stores, clock: Callable[[], float], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Follow these stores; `clock` judges whether tokens have expired."""
        self._news = RevocationNews(stores.revocations, stores.database)
        self._database = stores.database
        self._clock, self._monotonic = clock, monotonic
        self._lock = threading.Lock()
        self._waiting: dict[Follower, None] = {}
        self._by_audience: defaultdict[str, dict[Follower, None]] = defaultdict(dict)
        self._position: int | None = None
        self._complete_at = self._looks_at_rights_at = -math.inf

    def __len__(self) -> int:
        """Return the number of requests that wait."""
        return len(self._waiting)

    @property
    def position(self) -> int | None:
        """The position up to which all waits were judged, or None if nothing looks for them."""
        return self._position

    def age(self) -> float | None:
        """Return the seconds since the last look that found all there was; None if nothing looks."""
        return None if self._position is None else self._monotonic() - self._complete_at

    def begin(self) -> bool:
        """Begin at the newest position; return False if that was done. Raises Unavailable."""
        began, newest = self._monotonic(), self._news.position()
        with self._lock:
            if self._position is not None:
                return False
            self._position, self._complete_at = newest, began
            return True

    def end(self, *, only_if_idle: bool = False) -> Told | None:
        """Forget the position and end all waits; do nothing and return None if it should only if idle."""
        with self._lock:
            if only_if_idle and self._waiting:
                return None
            self._position = None
            return self._suspected(list(self._waiting))

    def join(self, follower: Follower, position: int) -> bool:
        """Let a follower wait; return False if the position is not this one any more."""
        with self._lock:
            if self._position != position:
                return False
            self._waiting[follower] = None
            for audience in follower.served:
                self._by_audience[audience][follower] = None
            return True

    def leave(self, follower: Follower) -> bytes | None:
        """Return the page without decisions that ends a wait now, or None if it was ended before.

        A stream ends with b"": the news of a look may be on their way to it.
        """
        with self._lock:
            if not self._remove(follower):
                return None
            if follower.streams:
                return b""
            position = max(follower.position, self._position or 0)
            waited = self._complete_at - follower.arrived
            return page_text(follower.view, position, complete_after=waited)

    def look(self) -> Told:
        """Look once for revocations and lost rights; return what is told to whom. Raises Unavailable."""
        began, before = self._monotonic(), self._position
        if before is None:
            return {}
        news = self._news.after(before)
        clients: dict[str, Client | None] | None = None
        if began >= self._looks_at_rights_at:
            clients = clients_named(self._database, {one.rights.client.client_id for one in self._all()})
            self._looks_at_rights_at = began + RIGHTS_SECONDS
        with self._lock:
            self._position = news.position
            if news.is_last:
                self._complete_at = began
            if news.position < before:
                return self._suspected(list(self._waiting))
            if clients is None and not news.rows:
                return {}
            told = self._suspected(self._without_rights(clients or {}, news))
            self._add_concerned(told, news, before, began)
            if clients is not None:
                self._add_beats(told, news, began)
            return told

    def _all(self) -> list[Follower]:
        with self._lock:
            return list(self._waiting)

    def _without_rights(self, clients: dict[str, Client | None], news: News) -> list[Follower]:
        now = EpochSeconds(int(self._clock()))
        revoked = Revocations(map(decision_of, news.rows)) if news.rows else None
        return [one for one in self._waiting if one.rights.may_be_lost(clients, revoked, now)]

    def _suspected(self, followers: list[Follower]) -> Told:
        """End these waits with what was told before: a page that is complete as of their arrival."""
        told: Told = defaultdict(list)
        ask_within = _ask_within(followers)
        for one in followers:
            self._remove(one)
            one.is_suspect = True
            told[page_text(one.view, one.position, ask_within=ask_within)].append(one)
        return told

    def _add_concerned(self, told: Told, news: News, before: int, began: float) -> None:
        """Tell the followers that the news concern: those of each view the part that concerns it."""
        parts: dict[tuple[str, int], msgspec.Raw | None] = {}
        texts: dict[tuple[str, int, int, bool], bytes] = {}
        concerned = self._concerned(news.rows)
        ask_within = _ask_within([one for one in concerned if not one.streams]) if news.is_last else 0
        for one in concerned:
            since, waited = max(one.position, before), int(began - one.arrived)
            if (one.view, since) not in parts:
                parts[one.view, since] = _part(one, news, since)
            part = parts[one.view, since]
            if part is None:
                continue
            key = one.view, since, waited, one.streams
            if key not in texts:
                within = 0 if one.streams else ask_within
                texts[key] = page_text(
                    one.view,
                    news.position,
                    part,
                    is_last=news.is_last,
                    complete_after=waited,
                    ask_within=within,
                )
            self._tell(told, one, texts[key], news.position)

    def _add_beats(self, told: Told, news: News, began: float) -> None:
        """Tell the streams that were silent for long as of when they know everything."""
        for one in self._waiting:
            if one.streams and one.beats_at <= began:
                one.beats_at = max(one.beats_at + one.beats_every, began)
                position = max(one.position, news.position)
                waited = began - one.arrived
                text = page_text(one.view, position, is_last=news.is_last, complete_after=waited)
                self._tell(told, one, text, position)

    def _tell(self, told: Told, one: Follower, text: bytes, position: int) -> None:
        told[text].append(one)
        one.position = position
        if not one.streams:
            self._remove(one)

    def _concerned(self, rows: Iterable[Any]) -> list[Follower]:
        audiences = {row.audience for row in rows}
        if None in audiences:
            return list(self._waiting)
        found: dict[Follower, None] = {}
        for audience in audiences & self._by_audience.keys():
            found |= self._by_audience[audience]
        return list(found)

    def _remove(self, follower: Follower) -> bool:
        if self._waiting.pop(follower, False) is False:
            return False
        for audience in follower.served:
            others = self._by_audience[audience]
            others.pop(follower, None)
            if not others:
                del self._by_audience[audience]
        return True


def _part(one: Follower, news: News, since: int) -> msgspec.Raw | None:
    """Return the decisions that are new to a follower and to all of its view; None if none is."""
    rows = [
        row
        for row in news.rows
        if row.sequence > since and (row.audience is None or row.audience in one.served)
    ]
    return encoded(map(decision_of, rows)) if rows else None


def _ask_within(followers: list[Follower]) -> int:
    """Return the seconds over which so many followers should spread their next requests."""
    return min(_LONGEST_ASK_WITHIN, len(followers) // _ASKED_PER_SECOND)
