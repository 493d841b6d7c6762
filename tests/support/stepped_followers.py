"""Followers of a database that look when the test says so, by a clock that it moves."""

import json
from dataclasses import dataclass, field
from typing import Any

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.cursors import view_name
from macaroon_cbat.service.following.follower import Follower, Rights
from macaroon_cbat.service.following.followers import Followers
from macaroon_cbat.stores import ClientMetadata
from tests.support.databases import NOW, SECRET, grant
from tests.support.service import API


@dataclass
class Stepped:
    """Followers of a database that look when the test says so."""

    stores: Any
    now: float = 1000.0
    followers: Followers = field(init=False)

    def __post_init__(self):
        self.followers = Followers(self.stores, lambda: float(NOW), lambda: self.now)
        metadata = ClientMetadata(scope="revocations", serves=(API,))
        self.client = self.stores.clients.add("invoices", metadata, secret=SECRET, now=NOW)
        self.followers.begin()

    def follower(self, *served: str, position: int | None = None) -> Follower:
        """Return a follower that has arrived now and knows everything up to the newest revocation."""
        rights = Rights(self.client, grant(client_id="invoices"), None, EpochSeconds(NOW + 600))
        audiences = frozenset(served or (API,))
        newest = self.stores.revocations.newest() if position is None else position
        return Follower(rights, view_name("database", audiences), audiences, newest, self.now)

    def waiting(self, *served: str) -> Follower:
        """Return a follower that waits."""
        follower = self.follower(*served)
        assert self.joins(follower)
        return follower

    def streaming(self, *served: str, beats_every: float = 10) -> Follower:
        """Return a follower with a stream."""
        follower = self.follower(*served)
        follower.streams, follower.beats_every = True, beats_every
        follower.beats_at = self.now + beats_every
        assert self.joins(follower)
        return follower

    def joins(self, follower: Follower) -> bool:
        """Return True if the follower waits from now on."""
        assert self.followers.position is not None
        return self.followers.join(follower, self.followers.position)

    def revoke(self, *names: str, audience: str = API) -> None:
        """Revoke tokens."""
        for name in names:
            self.stores.revocations.revoke("token", name, now=NOW, expires_at=NOW + 600, audience=audience)

    def look(self, after: float = 0.0) -> dict[Follower, Any]:
        """Look after so many seconds; return the page of each follower that is told something."""
        self.now += after
        told = self.followers.look()
        return {one: json.loads(text) for text, told_ones in told.items() for one in told_ones}


def names(page: Any) -> list[str]:
    """Return the names of the decisions of a page."""
    return [name for _, name, _, _ in page["decisions"]]


def sequence(page: Any) -> int:
    """Return the position of a page."""
    return int(page["cursor"].partition(".")[2])
