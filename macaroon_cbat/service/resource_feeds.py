"""The routes under /resource: keys and revocations of the audiences that a resource server serves."""

import random
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from threading import BoundedSemaphore
from typing import Any, NamedTuple

import msgspec
from flask import Flask, Response, request
from msgspec import Struct

from macaroon_cbat.errors import InvalidRequest, UnknownKey
from macaroon_cbat.files.process_values import PerProcess
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.keys import audience_keys, write_key_file
from macaroon_cbat.server.parking import park_of
from macaroon_cbat.service.cursors import AFTER, BEGINNING, OTHER_VIEW, read_cursor, view_name
from macaroon_cbat.service.following.follower import Follower, Rights
from macaroon_cbat.service.following.followers import Followers
from macaroon_cbat.service.following.pages import LINES, RevocationFeedPage, encoded, page_text
from macaroon_cbat.service.following.watch import Watch
from macaroon_cbat.service.http.client_certificate import client_certificate
from macaroon_cbat.service.http.operations import Operation, Parameter, add_route
from macaroon_cbat.service.http.request_input import accepts_by_name, read_query
from macaroon_cbat.service.http.responses import Parked, answer
from macaroon_cbat.service.own_guard import OwnGuard
from macaroon_cbat.service.served_audiences import require_served
from macaroon_cbat.stores import Client, RevocationPage

REFRESH_SECONDS = 300
"""Seconds until a resource server should fetch its keys again: a next key is published long before."""

LONGEST_WAIT = 30
LONGEST_SILENCE = 10
"""The longest time in seconds between two lines of a stream."""

STREAM_SECONDS = 300
"""The longest life of a stream: its follower asks again then, with a new child of its token."""

_SPREAD_PART = 0.2
"""The part of a wait by which it may end early: followers that began together do not come back together."""

FEEDS = "macaroon_cbat.feeds"
"""The key of the ResourceFeeds among the extensions of the application."""

_WAIT = re.compile(r"[0-9]{1,4}\Z")


class AudienceKeyFiles(Struct):
    """The key file of each audience that the caller serves; fetch them again in `expires_in` seconds."""

    audiences: list[dict[str, Any]]
    expires_in: int


KEYS = Operation(
    method="GET",
    path="/resource/keys",
    label="keys",
    summary="Get the keys of the audiences that the caller serves, which verify offline",
    caller="keys",
    query={
        "audience": Parameter("only this audience among those that the caller serves", {"type": "string"})
    },
    answer=AudienceKeyFiles,
)
REVOCATIONS = Operation(
    method="GET",
    path="/resource/revocations",
    label="revocations",
    summary="Follow the revocations that concern the audiences that the caller serves",
    caller="revocations",
    query={
        "after": AFTER,
        "wait": Parameter(
            "seconds to wait for the next revocation if there is none yet. With `Accept: "
            "application/x-ndjson` the answer is a stream: pages, each on a line, of which another one comes "
            "after so many seconds of silence, 10 at most",
            {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT, "default": 0},
        ),
    },
    answer=RevocationFeedPage,
    answer_example={
        "cursor": "AAAAAAAAAAAAAAAA.0",
        "is_last": True,
        "decisions": [],
        "complete_after": 29,
        "ask_within": 0,
    },
)
OPERATIONS = (KEYS, REVOCATIONS)


def metadata(base: str) -> Mapping[str, object]:
    """Return the members of the metadata document about the feeds of resource servers."""
    return {
        "audience_keys_endpoint": base + KEYS.path,
        "revocation_feed_endpoint": base + REVOCATIONS.path,
    }


def resource_routes(app: Flask, feeds: "ResourceFeeds", root_path: str) -> None:
    """Route keys and revocations to these feeds."""
    app.extensions[FEEDS] = feeds
    add_route(app, KEYS, feeds.keys, root_path)
    add_route(app, REVOCATIONS, feeds.revocations, root_path)


class ResourceFeeds:
    """The endpoints under /resource.

    Requests that wait for a revocation take no thread where the server parks their responses. Elsewhere at
    most `waiters` of them wait at a time, so that threads remain for others. One that finds no place to wait
    is answered at once, here as there.
    """

    def __init__(self, guard: OwnGuard, waiters: int, spread: Callable[[], float] = random.random) -> None:
        """Answer the resource servers that this guard admits; `spread` draws from 0 to 1 for each wait."""
        self._guard = guard
        self._stores = guard.stores
        self._issuer = guard.issuer.url
        self._instance = guard.stores.instance()
        self._spread = spread
        self._room = BoundedSemaphore(waiters) if waiters > 0 else None
        fields = list(answer({}).headers.items(lower=False))
        kept = [(name, value) for name, value in fields if name != "Content-Length"]
        self._watches = PerProcess(lambda: Watch(guard.stores, guard.clock, kept))

    @property
    def followers(self) -> Followers:
        """The requests of this process that wait."""
        return self._watches.current().followers

    def close(self) -> None:
        """End all waits of this process, for example before its database is closed."""
        self._watches.current().stop()

    def keys(self) -> Response:
        """Return the key files of the audiences that the caller serves, as AudienceKeyFiles."""
        client = self._guard.admit(request, KEYS.caller)
        wanted = read_query(request, *KEYS.query).get("audience")
        served = require_served(client, self._issuer, wanted)
        files = [msgspec.Raw(content) for content in self._key_files(served)]
        return answer({"audiences": files, "expires_in": REFRESH_SECONDS})

    def revocations(self) -> Response:
        """Return the revocations after a cursor, as RevocationFeedPage.

        The decisions follow the cursor without a gap. `wait` is how many seconds to wait for the next one.
        """
        arrived, position = time.monotonic(), self.followers.position
        caller = self._caller()
        query = read_query(request, *REVOCATIONS.query)
        cursor = read_cursor(query.get("after", BEGINNING), caller.view, self._stores)
        wait = _seconds(query.get("wait", "0"))
        page = self._stores.revocations.after(cursor, *caller.served)
        if wait and position is None and not page.decisions:  # the first to wait: begin before it is admitted
            self._watches.current().begin()
            position = self.followers.position
            self._refuse_changed(caller)
            page = self._stores.revocations.after(cursor, *caller.served)
        streams = caller.takes_lines and park_of(request.environ) is not None
        if not wait or position is None or not page.is_last or (page.decisions and not streams):
            return _answered(caller.view, page)
        return self._awaited(caller, page, wait, arrived, position)

    def _caller(self) -> "_Caller":
        """Return the caller as it is admitted now; raise as `OwnGuard.admitted` and `require_served`."""
        client, principal = self._guard.admitted(request, REVOCATIONS.caller)
        served = frozenset(require_served(client, self._issuer))
        view, takes_lines = view_name(self._instance, served), accepts_by_name(request, LINES)
        return _Caller(client, principal.expires_at, served, view, takes_lines)

    def _refuse_changed(self, caller: "_Caller") -> None:
        """Raise InvalidRequest if the caller serves other audiences by now, or what `_caller` raises."""
        if self._caller().view != caller.view:
            raise InvalidRequest(OTHER_VIEW)

    def _key_files(self, served: list[str]) -> list[bytes]:
        store, roots, states = self._stores.root_keys, [], {}
        for record in store.records():
            if record.state == "retired":
                continue
            try:
                roots.append(store.find(record.kid))
            except UnknownKey:  # retired a moment ago
                continue
            states[record.kid] = record.state
        return [write_key_file(audience_keys(self._issuer, audience, roots), states) for audience in served]

    def _awaited(
        self, caller: "_Caller", page: RevocationPage, wait: int, arrived: float, position: int
    ) -> Response:
        """Return what ends a wait, or begins a stream; the caller was admitted at this position."""
        certificate, spread = client_certificate(request).thumbprint, self._spread()
        rights = Rights(caller.client, self._guard.grant_of(request), certificate, caller.expires_at)
        follower = Follower(rights, caller.view, caller.served, page.cursor, arrived)
        seconds = wait * (1 - _SPREAD_PART * spread)
        park = park_of(request.environ)
        if park is not None:
            follower.beats_every = min(wait, LONGEST_SILENCE)
            follower.beats_at = arrived + spread * follower.beats_every
            streamed = STREAM_SECONDS * (1 - _SPREAD_PART * spread) if caller.takes_lines else 0
            parks = partial(park, seconds, holder=caller.client.client_id)
            body = self._watches.current().park(follower, position, page, parks, streamed)
            return Parked() if body is None else _answer_text(body)
        body = self._waited(follower, position, seconds)
        if follower.is_suspect:
            self._refuse_changed(caller)
        return _answer_text(body)

    def _waited(self, follower: Follower, position: int, seconds: float) -> bytes:
        """Wait in this thread, if there is room, and return the body of the response."""
        if self._room is None or not self._room.acquire(blocking=False):
            return page_text(follower.view, follower.position)
        try:
            return self._watches.current().hold(follower, position, seconds)
        finally:
            self._room.release()


class _Caller(NamedTuple):
    """A resource server, as it was admitted."""

    client: Client
    expires_at: EpochSeconds
    served: frozenset[str]
    view: str
    takes_lines: bool


def _answered(view: str, page: RevocationPage) -> Response:
    return _answer_text(page_text(view, page.cursor, encoded(page.decisions), is_last=page.is_last))


def _answer_text(body: bytes) -> Response:
    return answer(msgspec.Raw(body))


def _seconds(text: str) -> int:
    if not _WAIT.match(text) or int(text) > LONGEST_WAIT:
        raise InvalidRequest(f"wait is out of range: send 0 to {LONGEST_WAIT} whole seconds")
    return int(text)
