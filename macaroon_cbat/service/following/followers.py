"""The requests of this process that wait for a revocation.

One look at the database serves all of them. It ends the waits that a revocation concerns, and those of
followers whose rights may be lost: they must ask again, and are admitted or refused then.
"""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.revocation import Revocations
from macaroon_cbat.service.following.follower import Follower
from macaroon_cbat.service.following.pages import page_text
from macaroon_cbat.stores import Client, Stores
from macaroon_cbat.stores.revocation_news import News, RevocationNews, decision_of
from macaroon_cbat.stores.waiting_clients import clients_named

RIGHTS_SECONDS = 1.0
"""The time between two looks at the registrations of the clients that wait."""

_LONGEST_ASK_WITHIN = 10
_ASKED_PER_SECOND = 1000
"""The requests a second that followers of one look send: a process answers twice as many, and others too."""

Endings = dict[bytes, list[Follower]]
"""The followers whose waits end, by the body of their responses: most have the same."""


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

    def end(self, *, only_if_idle: bool = False) -> Endings | None:
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
        """Return the page without decisions that ends a wait now, or None if it was ended before."""
        with self._lock:
            if not self._remove(follower):
                return None
            position = max(follower.position, self._position or 0)
            waited = self._complete_at - follower.arrived
            return page_text(follower.view, position, complete_after=waited)

    def look(self) -> Endings:
        """Look once for revocations and lost rights; return the waits that end. Raises Unavailable."""
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
            endings = self._suspected(self._without_rights(clients or {}, news))
            return self._add_concerned(endings, news, before, began)

    def _all(self) -> list[Follower]:
        with self._lock:
            return list(self._waiting)

    def _without_rights(self, clients: dict[str, Client | None], news: News) -> list[Follower]:
        now = EpochSeconds(int(self._clock()))
        revoked = Revocations(map(decision_of, news.rows)) if news.rows else None
        return [one for one in self._waiting if one.rights.may_be_lost(clients, revoked, now)]

    def _suspected(self, followers: list[Follower]) -> Endings:
        """End these waits with what was told before: a page that is complete as of their arrival."""
        endings: Endings = defaultdict(list)
        ask_within = _ask_within(followers)
        for one in followers:
            self._remove(one)
            one.is_suspect = True
            endings[page_text(one.view, one.position, ask_within=ask_within)].append(one)
        return endings

    def _add_concerned(self, endings: Endings, news: News, before: int, began: float) -> Endings:
        """End the waits that the news concern: of each view, with the part that concerns it."""
        texts: dict[tuple[str, int, int], bytes] = {}
        concerned = self._concerned(news.rows)
        ask_within = _ask_within(concerned)
        for one in concerned:
            since, waited = max(one.position, before), int(began - one.arrived)
            text = texts.get((one.view, since, waited))
            if text is None:
                text = texts[one.view, since, waited] = self._text(one, news, since, waited, ask_within)
            if text:
                self._remove(one)
                endings[text].append(one)
        return endings

    def _text(self, one: Follower, news: News, since: int, waited: int, ask_within: int) -> bytes:
        """Return the page of a follower and of all of its view, or b"" if nothing is new to them."""
        rows = [
            row
            for row in news.rows
            if row.sequence > since and (row.audience is None or row.audience in one.served)
        ]
        if not rows:
            return b""
        return page_text(
            one.view,
            news.position,
            map(decision_of, rows),
            is_last=news.is_last,
            complete_after=waited,
            ask_within=ask_within if news.is_last else 0,
        )

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


def _ask_within(followers: list[Follower]) -> int:
    """Return the seconds over which so many followers should spread their next requests."""
    return min(_LONGEST_ASK_WITHIN, len(followers) // _ASKED_PER_SECOND)
