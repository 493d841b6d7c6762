"""Browser sessions of people who have logged in: random names, stored as hashes, idle and absolute ends."""

import hashlib
import os
from typing import Final

import msgspec
from msgspec import Struct

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.authorization.id_token import LoggedIn
from macaroon_cbat.service.oauth2.owner_rights import reason_of_end
from macaroon_cbat.stores import Stores
from macaroon_cbat.text.base64url import encode

_KIND: Final = "session"
_BYTES = 32
_TOUCHED_EVERY = 60
"""Seconds of use that are written as one: a session may end this much earlier than its idle time."""


class Session(Struct, frozen=True):
    """One login of a person in one browser."""

    subject: str
    name: str
    authenticated_at: EpochSeconds | None
    """The second of the login, as the provider told it; None if it did not."""
    began_at: EpochSeconds
    used_at: EpochSeconds
    login_rules: str
    """The rules of the login: the provider, the claim of the subject, and who may log in."""


class Sessions:
    """The live sessions of the service, of all its processes."""

    def __init__(self, stores: Stores, *, idle: int, lifetime: int, login_rules: str) -> None:
        """Keep them in these stores; `idle` and `lifetime` are seconds.

        A session of other `login_rules` is none: another provider may give the same name to another person,
        and a person who may not log in any more is not to go on either.
        """
        self._stores, self._login_rules = stores, login_rules
        self._idle, self.lifetime = idle, lifetime

    def begin(self, person: LoggedIn, now: EpochSeconds) -> str:
        """Return the new session's cookie value. It is never one that a browser sent: no session is fixed."""
        value = encode(os.urandom(_BYTES))
        session = Session(*person, began_at=now, used_at=now, login_rules=self._login_rules)
        content, ends_at = msgspec.json.encode(session), now + self.lifetime
        self._stores.expiring.add(_KIND, value, content, expires_at=ends_at, now=now)
        return value

    def find(self, value: str, now: EpochSeconds) -> Session | None:
        """Return the session of a cookie value, or None if it is unknown, over, idle for long or revoked."""
        content = self._stores.expiring.find(_KIND, value, now)
        if content is None:
            return None
        session = msgspec.json.decode(content, type=Session)
        if session.login_rules != self._login_rules or now >= session.used_at + self._idle:
            return None
        if reason_of_end(self._stores.revocations, session.subject, session.subject, session.began_at):
            return None
        if now >= session.used_at + min(_TOUCHED_EVERY, self._idle // 2):
            self._touch(value, now)
        return session

    def end(self, value: str, now: EpochSeconds) -> Session | None:
        """End a session at once, in every browser that has its cookie; return it, or None."""
        content = self._stores.expiring.take(_KIND, value, now)
        return None if content is None else msgspec.json.decode(content, type=Session)

    def _touch(self, value: str, now: EpochSeconds) -> None:
        def touched(content: bytes) -> bytes:
            session = msgspec.json.decode(content, type=Session)
            later = EpochSeconds(max(now, session.used_at))
            return msgspec.json.encode(msgspec.structs.replace(session, used_at=later))

        self._stores.expiring.change(_KIND, value, touched, now)


def public_name(value: str) -> str:
    """Return a name of the session that does not give it away: what tokens of its pages are bound to."""
    return encode(hashlib.sha256(value.encode()).digest())
