"""Requests that wait for the decision of a person: bound to one browser, decided once."""

import os
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from msgspec import Struct

from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.authorization.id_token import SKEW
from macaroon_cbat.service.authorization.people import Person
from macaroon_cbat.service.authorization.prompting import LOGS_IN_AGAIN
from macaroon_cbat.service.authorization.requests import AuthorizationRequest
from macaroon_cbat.stores import ExpiringStore, NewRecord
from macaroon_cbat.text.base64url import encode

WAITING_SECONDS = 1200
"""Seconds that a person may take to log in and to decide."""

_KIND: Final = "asked"
_BYTES = 16


class Asked(Struct, frozen=True):
    """A request, and the browser that it came from."""

    request: AuthorizationRequest
    browser: str
    session: str | None
    """The session that the browser had when the request came; None without one."""
    asked_at: EpochSeconds

    def needs_login(self, person: Person | None, now: EpochSeconds) -> bool:
        """Return True unless the login of this person is one that the client accepts.

        A session that began after the request, as that of the login which the request led to, satisfies it
        only by the time that the provider told: it may come from another page, without a new login there.
        """
        if person is None:
            return True
        is_since = person.session != self.session and person.began_at >= self.asked_at
        if not is_since and not LOGS_IN_AGAIN.isdisjoint(self.request.prompts):
            return True
        oldest = [self.asked_at - SKEW] if "login" in self.request.prompts else []
        if (longest := self.request.max_age) is not None:
            oldest.append(self.asked_at - longest - SKEW if is_since else now - longest)
        at = person.authenticated_at
        return bool(oldest) and (at is None or at < max(oldest))


class AskedRequests:
    """The waiting requests of all processes."""

    def __init__(self, expiring: ExpiringStore) -> None:
        """Keep them in this store."""
        self._expiring = expiring

    def keep(self, asked: Asked, now: EpochSeconds) -> str:
        """Return the name of a request in URLs of ours. Raises Unavailable."""
        name = encode(os.urandom(_BYTES))
        content = msgspec.json.encode(asked)
        self._expiring.add(_KIND, name, content, expires_at=now + WAITING_SECONDS, now=now)
        return name

    def find(self, name: str, browser: str, now: EpochSeconds) -> Asked:
        """Return a request of this browser, or raise InvalidRequest."""
        content = self._expiring.find(_KIND, name, now)
        asked = None if content is None else msgspec.json.decode(content, type=Asked)
        if asked is None or asked.browser != browser:
            raise _over()
        return asked

    def decide(
        self, name: str, added: Iterable[NewRecord], now: EpochSeconds, before_commit: Callable[[], None]
    ) -> None:
        """Put these records in the place of a request that is decided, or raise InvalidRequest.

        An error of `before_commit` leaves the request undecided.
        """
        if not self._expiring.replace(_KIND, name, added, now, before_commit):
            raise _over()


def _over() -> InvalidRequest:
    return InvalidRequest(
        "this request was made in another browser, is decided already, or took too long: begin again in the "
        "application"
    )
