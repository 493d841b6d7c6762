"""Root keys in the database, encrypted at rest."""

import os
import time
from collections.abc import Callable
from threading import Lock

from msgspec import Struct
from sqlalchemy import Connection, insert, select

from macaroon_cbat.claims import EpochSeconds
from macaroon_cbat.errors import UnknownKey
from macaroon_cbat.keys import KEY_BYTES, RootKey
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.schema import root_keys
from macaroon_cbat.stores.wrapping import WrappingKey

MEMORY_SECONDS = 1.0
"""How long a process goes on with the keys it has seen before it looks again."""


class RootKeyRecord(Struct, frozen=True):
    """A root key's public side: its name, its age, and whether new tokens are made with it."""

    kid: str
    created_at: EpochSeconds
    is_current: bool


class RootKeyStore:
    """Every root key that may have live tokens; the newest one mints."""

    def __init__(
        self, database: Database, wrapping_key: WrappingKey, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Keep root keys in this database, wrapped under this key."""
        self._database = database
        self._wrapping_key = wrapping_key
        self._monotonic = monotonic
        self._lock = Lock()
        self._seen: tuple[RootKey, ...] = ()
        self._look_again_at = 0.0

    def all(self) -> tuple[RootKey, ...]:
        """Return every root key, the current one last, at most MEMORY_SECONDS old."""
        with self._lock:
            if not self._seen or self._monotonic() >= self._look_again_at:
                self._seen = self._read()
                self._look_again_at = self._monotonic() + MEMORY_SECONDS
            return self._seen

    def current(self) -> RootKey:
        """Return the key that new tokens are made with."""
        return self.all()[-1]

    def find(self, kid: str) -> RootKey:
        """Return the key of this name, or raise UnknownKey: only after a fresh look is a key unknown."""
        for look_again in (False, True):
            if look_again:
                self._forget()
            for key in self.all():
                if key.kid == kid:
                    return key
        raise UnknownKey(f"no root key {kid!r}")

    def records(self) -> list[RootKeyRecord]:
        """Return what may be shown of every key, oldest first."""
        with self._database.reading() as connection:
            rows = _rows(connection)
        return [RootKeyRecord(kid, EpochSeconds(made), kid == rows[-1][0]) for kid, _, made in rows]

    def rotate(self, now: EpochSeconds) -> RootKeyRecord:
        """Make a new current key. Tokens of the old ones verify until they expire."""
        with self._database.writing() as connection:
            record = self._insert(connection, now)
        self._forget()
        return record

    def ensure(self, now: EpochSeconds) -> None:
        """Make the first key when there is none, and prove that the wrapping key opens those that exist."""
        with self._database.writing() as connection:
            if not _rows(connection):
                self._insert(connection, now)
        self._forget()
        self.all()

    def _insert(self, connection: Connection, now: EpochSeconds) -> RootKeyRecord:
        rows = _rows(connection)
        made = (
            max(now, rows[-1][2] + 1) if rows else now
        )  # the newest is current, also after a clock set back
        kid = os.urandom(6).hex()
        wrapped = self._wrapping_key.wrap(kid, os.urandom(KEY_BYTES))
        connection.execute(insert(root_keys).values(kid=kid, wrapped_secret=wrapped, created_at=made))
        return RootKeyRecord(kid, EpochSeconds(made), is_current=True)

    def _read(self) -> tuple[RootKey, ...]:
        with self._database.reading() as connection:
            rows = _rows(connection)
        return tuple(RootKey(kid, self._wrapping_key.unwrap(kid, wrapped)) for kid, wrapped, _ in rows)

    def _forget(self) -> None:
        with self._lock:
            self._seen = ()


def _rows(connection: Connection) -> list[tuple[str, bytes, int]]:
    columns = (root_keys.c.kid, root_keys.c.wrapped_secret, root_keys.c.created_at)
    query = select(*columns).order_by(root_keys.c.created_at, root_keys.c.kid)
    return [(kid, wrapped, made) for kid, wrapped, made in connection.execute(query)]
