"""Root keys in the database, encrypted at rest, and their states: next, current, retiring, retired.

A key is published as `next` before it mints, so that resource servers have it in time. It mints as `current`
and verifies as `retiring` until its last token has expired. An operator may retire it at once.
"""

import os
import time
from collections.abc import Callable
from typing import Literal, get_args

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import Connection, insert, select, update

from macaroon_cbat.errors import Conflict, NotFound, UnknownKey
from macaroon_cbat.files.process_values import ProcessLock
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.keys import KEY_BYTES, RootKey
from macaroon_cbat.macaroon.revocation import Revocation
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.families import rewrap_families
from macaroon_cbat.stores.registrations import rewrap_registrations
from macaroon_cbat.stores.revocations import record
from macaroon_cbat.stores.schema import root_keys
from macaroon_cbat.stores.wrapping_key import WrappingKey

MEMORY_SECONDS = 1.0
"""The seconds for which a process uses the keys from memory before it reads the database again."""

GRACE_SECONDS = 60
"""The seconds for which a key is kept after its last token has expired.

Another process mints with the key a moment longer, and its clock may be ahead.
"""

KeyState = Literal["retired", "retiring", "current", "next"]
_ORDER = {state: rank for rank, state in enumerate(get_args(KeyState))}


class RootKeyRecord(Struct, frozen=True):
    """The public facts of a root key: name, age, state, and the second from which it has this state."""

    kid: str
    created_at: EpochSeconds
    state: KeyState
    since: EpochSeconds


class _Row(Struct, frozen=True):
    kid: str
    wrapped_secret: bytes
    created_at: int
    state: KeyState
    since: int


class RootKeyStore:
    """The root keys that may have live tokens. The current one mints."""

    def __init__(
        self, database: Database, wrapping_key: WrappingKey, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Use this database, and encrypt under this wrapping key."""
        self._database = database
        self._wrapping_key = wrapping_key
        self._monotonic = monotonic
        self._lock = ProcessLock()
        self._seen: dict[KeyState, list[RootKey]] = {}
        self._look_again_at = 0.0
        self._current_since = 0
        self._outlived_at: int | None = None

    @property
    def wrapping_key(self) -> WrappingKey:
        """The key that encrypts the root keys, and those of refresh families."""
        return self._wrapping_key

    def all(self) -> tuple[RootKey, ...]:
        """Return every root key that is not retired, at most MEMORY_SECONDS old."""
        seen = self._look()
        return tuple(key for state in get_args(KeyState) for key in seen.get(state, ()))

    def current(self) -> RootKey:
        """Return the key that mints."""
        return self._look()["current"][0]

    def find(self, kid: str) -> RootKey:
        """Return the key of this name. Raises UnknownKey if the database, read anew, has no such key."""
        for look_again in (False, True):
            if look_again:
                self.forget()
            for key in self.all():
                if key.kid == kid:
                    return key
        raise UnknownKey(f"no root key {kid!r}, or it is retired")

    def forget(self) -> None:
        """Read the keys again at the next use, instead of up to MEMORY_SECONDS later."""
        with self._lock.current():
            self._seen = {}

    def records(self) -> list[RootKeyRecord]:
        """Return the record of every key: the retired ones first, the next one last."""
        with self._database.reading() as connection:
            return [_record(row) for row in _rows(connection)]

    def ensure(self, now: EpochSeconds) -> None:
        """Make a missing current or next key. Raises SettingsError unless the wrapping key opens all."""
        if not self.check():
            with self._database.writing() as connection:
                states = {row.state for row in _rows(connection)}
                for state in ("current", "next"):
                    if state not in states:
                        self._insert(connection, state, now)
            self.check()

    def check(self) -> bool:
        """Return True if there are a current and a next key.

        Raises SettingsError if the wrapping key does not open every key.
        """
        self.forget()
        return self._look().keys() >= {"current", "next"}

    def rotate(self, now: EpochSeconds, *, unless_younger_than: int = 0) -> RootKeyRecord:
        """Make the next key current and a new key next; return the record of the current key.

        Tokens of the old key verify until they expire. If several processes rotate at once because the key
        is old, one of them does, and the others find a young key.
        """
        return self._rotate(now, unless_younger_than)[0]

    def _rotate(self, now: EpochSeconds, unless_younger_than: int) -> tuple[RootKeyRecord, bool]:
        """Return the record of the current key, and True if this call made it current."""
        self.forget()
        with self._database.writing() as connection:
            rows = _rows(connection)
            current = next(row for row in rows if row.state == "current")
            if current.since + unless_younger_than > now:
                return _record(current), False
            coming = next(row for row in rows if row.state == "next")
            _move(connection, current.kid, "retiring", now)
            _move(connection, coming.kid, "current", now)
            self._insert(connection, "next", now)
        self.forget()
        return RootKeyRecord(coming.kid, EpochSeconds(coming.created_at), "current", now), True

    def keep(
        self, now: EpochSeconds, rotation: int, longest_lifetime: int
    ) -> list[tuple[Literal["key.rotated", "key.retired"], str]]:
        """Rotate every `rotation` seconds (0: never), and retire the keys whose last token has expired.

        Returns each change with the name of its key. Reads no database while nothing is due.
        """
        done: list[tuple[Literal["key.rotated", "key.retired"], str]] = []
        self._look()
        if rotation and self._current_since + rotation <= now:
            current, is_new = self._rotate(now, rotation)
            done += [("key.rotated", current.kid)] if is_new else []
        if self._outlived_at is not None and self._outlived_at + longest_lifetime + GRACE_SECONDS <= now:
            done += [("key.retired", kid) for kid in self.retire_outlived(now, longest_lifetime)]
        return done

    def retire(self, kid: str, now: EpochSeconds, *, revoked_until: int | None = None) -> None:
        """Retire a retiring key at once and wipe its secret: its tokens no longer verify.

        `revoked_until` makes the revocations say so, until that second, to resource servers that verify
        offline. Raises Conflict for a key that is current or next, and NotFound for an unknown key.
        """
        with self._database.writing() as connection:
            state = {row.kid: row.state for row in _rows(connection)}.get(kid)
            if state is None:
                raise NotFound(f"the key {kid!r} is unknown: see key list")
            if state in ("current", "next"):
                raise Conflict(f"key {kid} is {state}: rotate until it is retiring, then retire it")
            _move(connection, kid, "retired", now)
            if revoked_until is not None:
                decision = Revocation(kind="key", value=kid, revoked_at=now, expires_at=revoked_until)
                record(connection, decision)
        self.forget()

    def retire_outlived(self, now: EpochSeconds, longest_lifetime: int) -> list[str]:
        """Retire the keys whose last token has expired, and return their names."""
        ended = now - longest_lifetime - GRACE_SECONDS
        outlived = (root_keys.c.state == "retiring") & (root_keys.c.since <= ended)
        with self._database.reading() as connection:
            kids = connection.execute(select(root_keys.c.kid).where(outlived)).scalars().all()
        for kid in kids:
            self.retire(kid, now)
        return list(kids)

    def rewrap(self, wrapping_key: WrappingKey) -> int:
        """Encrypt every key, those of families too, under another one; return the number of root keys."""
        with self._database.writing() as connection:
            for row in (live := [row for row in _rows(connection) if row.state != "retired"]):
                secret = self._wrapping_key.unwrap(row.kid, row.wrapped_secret)
                _change(connection, row.kid, wrapped_secret=wrapping_key.wrap(row.kid, secret))
            for rewrap_others in (rewrap_families, rewrap_registrations):
                rewrap_others(connection, self._wrapping_key, wrapping_key)
        self._wrapping_key = wrapping_key
        self.forget()
        return len(live)

    def _insert(self, connection: Connection, state: KeyState, now: EpochSeconds) -> None:
        kid = os.urandom(6).hex()
        wrapped = self._wrapping_key.wrap(kid, os.urandom(KEY_BYTES))
        connection.execute(insert(root_keys).values(asdict(_Row(kid, wrapped, now, state, now))))

    def _look(self) -> dict[KeyState, list[RootKey]]:
        if self._monotonic() < self._look_again_at and (seen := self._seen):
            return seen  # without the lock: a reader of the database sets the time last
        with self._lock.current():
            if not self._seen or self._monotonic() >= self._look_again_at:
                self._seen = self._read()
                self._look_again_at = self._monotonic() + MEMORY_SECONDS
            return self._seen

    def _read(self) -> dict[KeyState, list[RootKey]]:
        with self._database.reading() as connection:
            rows = _rows(connection)
        self._current_since = max((row.since for row in rows if row.state == "current"), default=0)
        self._outlived_at = min((row.since for row in rows if row.state == "retiring"), default=None)
        seen: dict[KeyState, list[RootKey]] = {}
        for row in rows:
            if row.state != "retired":
                secret = self._wrapping_key.unwrap(row.kid, row.wrapped_secret)
                seen.setdefault(row.state, []).append(RootKey(row.kid, secret))
        return seen


def _move(connection: Connection, kid: str, state: KeyState, now: EpochSeconds) -> None:
    wiped = {"wrapped_secret": b""} if state == "retired" else {}
    _change(connection, kid, state=state, since=now, **wiped)


def _change(connection: Connection, kid: str, **values: object) -> None:
    connection.execute(update(root_keys).where(root_keys.c.kid == kid).values(values))


def _record(row: _Row) -> RootKeyRecord:
    return RootKeyRecord(row.kid, EpochSeconds(row.created_at), row.state, EpochSeconds(row.since))


def _rows(connection: Connection) -> list[_Row]:
    rows = [_Row(*row) for row in connection.execute(_ALL)]
    return sorted(rows, key=lambda row: (_ORDER[row.state], row.since, row.created_at, row.kid))


_ALL = select(*(root_keys.c[name] for name in _Row.__struct_fields__))
