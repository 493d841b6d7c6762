"""What resource servers get of the service: the keys of their own audiences, and what is revoked."""

import re
import time
from threading import BoundedSemaphore

import msgspec
from flask import Response, request

from macaroon_cbat.errors import AccessDenied, InvalidRequest, UnknownKey
from macaroon_cbat.keys import audience_keys, write_key_file
from macaroon_cbat.service.answers import answer
from macaroon_cbat.service.cursors import BEGINNING, read_cursor, view_name, write_cursor
from macaroon_cbat.service.own_guard import OwnGuard
from macaroon_cbat.service.reading import read_query
from macaroon_cbat.stores import Client, RevocationPage

REFRESH_SECONDS = 300
"""How soon a resource server should ask for its keys again; a next key is published long before it mints."""

LONGEST_WAIT = 30
_LOOK_SECONDS = 0.1
_WAIT = re.compile(r"[0-9]{1,4}\Z")


class ResourceFeeds:
    """The endpoints under /resource. At most `waiters` requests wait for a revocation at a time.

    Who finds no room to wait is answered at once, so that threads remain for everybody else.
    """

    def __init__(self, guard: OwnGuard, waiters: int) -> None:
        """Answer whom this guard lets pass."""
        self._guard = guard
        self._stores = guard.stores
        self._issuer = guard.issuer.url
        self._instance = guard.stores.instance()
        self._room = BoundedSemaphore(waiters) if waiters > 0 else None

    def keys(self) -> Response:
        """Return `{"audiences": [KEY FILE ...], "expires_in": SECONDS}` for the caller's own audiences."""
        served = self._served(self._guard.admit(request, "keys"))
        wanted = read_query(request, "audience").get("audience")
        if wanted is not None:
            if wanted not in served:
                raise AccessDenied("this audience is not registered for this client")
            served = [wanted]
        files = [msgspec.Raw(content) for content in self._key_files(served)]
        return answer({"audiences": files, "expires_in": REFRESH_SECONDS})

    def revocations(self) -> Response:
        """Return `{"cursor": "...", "is_last": true, "decisions": [[kind, value, revoked_at, expires_at]]}`.

        They follow on the cursor without a gap. `wait`: seconds to wait for the next one when there is none.
        """
        client = self._guard.admit(request, "revocations")
        query = read_query(request, "after", "wait")
        served = self._served(client)
        feed = view_name(self._instance, served)
        cursor = read_cursor(query.get("after", BEGINNING), feed, self._stores)
        wait = _seconds(query.get("wait", "0"))
        page = self._wait_for_page(cursor, served, wait)
        rows = [(each.kind, each.value, each.revoked_at, each.expires_at) for each in page.decisions]
        next_cursor = write_cursor(feed, page.cursor)
        return answer({"cursor": next_cursor, "is_last": page.is_last, "decisions": rows})

    def _served(self, client: Client) -> list[str]:
        return [audience for audience in client.metadata.audiences if audience != self._issuer]

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
        revocations = self._stores.revocations
        page = revocations.after(cursor, *served)
        if page.decisions or not wait or self._room is None or not self._room.acquire(blocking=False):
            return page
        try:
            ends_at = time.monotonic() + wait
            while not page.decisions and time.monotonic() < ends_at:
                time.sleep(_LOOK_SECONDS)
                if revocations.newest() > page.cursor:
                    page = revocations.after(page.cursor, *served)
        finally:
            self._room.release()
        return page


def _seconds(text: str) -> int:
    if not _WAIT.match(text) or int(text) > LONGEST_WAIT:
        raise InvalidRequest(f"wait must be 0 to {LONGEST_WAIT} whole seconds")
    return int(text)
