"""The routes under /resource: keys and revocations of the audiences that a resource server serves."""

import re
import time
from collections.abc import Mapping
from threading import BoundedSemaphore
from typing import Any

import msgspec
from flask import Flask, Response, request
from msgspec import Struct

from macaroon_cbat.errors import InvalidRequest, UnknownKey
from macaroon_cbat.macaroon.keys import audience_keys, write_key_file
from macaroon_cbat.macaroon.revocation import RevocationRow, row_of
from macaroon_cbat.server.stopping import is_stopping
from macaroon_cbat.service.cursors import (
    AFTER,
    BEGINNING,
    OTHER_VIEW,
    CursorText,
    read_cursor,
    view_name,
    write_cursor,
)
from macaroon_cbat.service.http.operations import Operation, Parameter, add_route
from macaroon_cbat.service.http.request_input import read_query
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.service.own_guard import OwnGuard
from macaroon_cbat.service.served_audiences import require_served
from macaroon_cbat.stores import RevocationPage

REFRESH_SECONDS = 300
"""Seconds until a resource server should fetch its keys again: a next key is published long before."""

LONGEST_WAIT = 30
_LOOK_SECONDS = 0.1
_ADMIT_SECONDS = 1.0
_WAIT = re.compile(r"[0-9]{1,4}\Z")


class AudienceKeyFiles(Struct):
    """The key file of each audience that the caller serves; fetch them again in `expires_in` seconds."""

    audiences: list[dict[str, Any]]
    expires_in: int


class RevocationFeedPage(Struct):
    """The revocations after a cursor: kind, value, revoked_at, expires_at. Resume from `cursor`."""

    cursor: CursorText
    is_last: bool
    decisions: list[RevocationRow]


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
            "seconds to wait for the next revocation if there is none yet",
            {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT, "default": 0},
        ),
    },
    answer=RevocationFeedPage,
    answer_example={"cursor": "AAAAAAAAAAAAAAAA.0", "is_last": True, "decisions": []},
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
    add_route(app, KEYS, feeds.keys, root_path)
    add_route(app, REVOCATIONS, feeds.revocations, root_path)


class ResourceFeeds:
    """The endpoints under /resource. At most `waiters` requests wait for a revocation at a time.

    A further request is answered at once, so that threads remain for others.
    """

    def __init__(self, guard: OwnGuard, waiters: int) -> None:
        """Answer the resource servers that this guard admits."""
        self._guard = guard
        self._stores = guard.stores
        self._issuer = guard.issuer.url
        self._instance = guard.stores.instance()
        self._room = BoundedSemaphore(waiters) if waiters > 0 else None

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
        served = self._served()
        query = read_query(request, *REVOCATIONS.query)
        feed = view_name(self._instance, served)
        cursor = read_cursor(query.get("after", BEGINNING), feed, self._stores)
        wait = _seconds(query.get("wait", "0"))
        page = self._wait_for_page(cursor, served, wait)
        rows = [row_of(each) for each in page.decisions]
        return answer(RevocationFeedPage(write_cursor(feed, page.cursor), page.is_last, rows))

    def _served(self) -> list[str]:
        """Return the audiences that the caller serves now; raise as `OwnGuard.admit` and `require_served`."""
        return require_served(self._guard.admit(request, REVOCATIONS.caller), self._issuer)

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

    def _wait_for_page(self, cursor: int, served: list[str], wait: int) -> RevocationPage:
        page = self._stores.revocations.after(cursor, *served)
        if page.decisions or not wait or self._room is None or not self._room.acquire(blocking=False):
            return page
        try:
            return self._awaited(page, served, wait)
        finally:
            self._room.release()

    def _awaited(self, page: RevocationPage, served: list[str], wait: int) -> RevocationPage:
        """Wait for a decision, or for the server to stop.

        A right that the caller loses meanwhile ends the wait within a second.
        """
        revocations = self._stores.revocations
        ends_at = time.monotonic() + wait
        admit_at = time.monotonic() + _ADMIT_SECONDS
        while not (page.decisions or is_stopping(request.environ)) and time.monotonic() < ends_at:
            time.sleep(_LOOK_SECONDS)
            has_news = revocations.newest() > page.cursor
            if has_news or time.monotonic() >= admit_at:
                if set(self._served()) != set(served):
                    raise InvalidRequest(OTHER_VIEW)
                admit_at = time.monotonic() + _ADMIT_SECONDS
            if has_news:
                page = revocations.after(page.cursor, *served)
        return page


def _seconds(text: str) -> int:
    if not _WAIT.match(text) or int(text) > LONGEST_WAIT:
        raise InvalidRequest(f"wait is out of range: send 0 to {LONGEST_WAIT} whole seconds")
    return int(text)
