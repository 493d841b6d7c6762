"""Records that expire: authorization codes, pushed requests, sessions, used assertions and proofs.

A record is found by a name that is often a secret, so the database has only its SHA-256. All processes see
one order of changes: of two that take or add one name at once, one succeeds.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, update

from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW, EpochSeconds
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.schema import expiring_records

RecordKind = Literal[
    "code",  # an authorization code
    "device",  # a device code
    "user_code",  # the user code of a device
    "wrong_codes",  # the number of wrong user codes that a person tried
    "pushed_request",  # a pushed authorization request
    "asked",  # an authorization request that waits for its person
    "session",  # a browser's session
    "login",  # a login at the upstream provider that has begun
    "consent",  # what a person has consented to in this session
    "used_assertion",  # the jti of a client's or issuer's assertion
    "used_proof",  # the jti of a DPoP proof
    "invitation",  # the key of an initial access token
    "registration",  # the registrations that were made with an initial access token
    "registered",  # the key of a client's registration access token, and its bounds
    "self_registered",  # the bounds of a client that registered itself, for as long as it is registered
    "discharge",  # a discharge that waits for its user
]
"""Kinds of records; a name of one kind is not found under another."""


class NewRecord(NamedTuple):
    """A record that is to be added."""

    kind: RecordKind
    name: str
    content: bytes
    expires_at: int


class RecordChange(NamedTuple):
    """A change of a live record, which may raise an error and so end its transaction."""

    kind: RecordKind
    name: str
    changed: Callable[[bytes], bytes]


class ExpiringStore:
    """Records in the database. A record that has expired is as good as gone."""

    def __init__(self, database: Database) -> None:
        """Use this database."""
        self._database = database

    def add(
        self,
        kind: RecordKind,
        name: str,
        content: bytes = b"",
        *,
        expires_at: int,
        now: EpochSeconds,
        before_commit: Callable[[], None] = lambda: None,
    ) -> bool:
        """Add a record; return False and change nothing if a live one has this name.

        An error of `before_commit` adds nothing, and until its end no other process sees the record.
        """
        with self._database.writing() as connection:
            is_added = add_record(connection, kind, name, content, expires_at=expires_at, now=now)
            if is_added:
                before_commit()
            return is_added

    def find(self, kind: RecordKind, name: str, now: EpochSeconds) -> bytes | None:
        """Return the content of a live record, or None."""
        with self._database.reading() as connection:
            return find_record(connection, kind, name, now)

    def found(self, kind: RecordKind, names: Iterable[str], now: EpochSeconds) -> set[str]:
        """Return those of the names, a few thousand at most, that live records have."""
        by_hash = {hash_of(name): name for name in names}
        query = select(expiring_records.c.name_hash).where(
            expiring_records.c.kind == kind,
            expiring_records.c.name_hash.in_(by_hash),
            expiring_records.c.expires_at > now,
        )
        with self._database.reading() as connection:
            return {by_hash[bytes(found)] for found in connection.execute(query).scalars()}

    def take(self, kind: RecordKind, name: str, now: EpochSeconds) -> bytes | None:
        """Return the content of a live record and delete it, or None: one caller of all gets it."""
        with self._database.writing() as connection:
            return take_record(connection, kind, name, now)

    def change(
        self, kind: RecordKind, name: str, changed: Callable[[bytes], bytes], now: EpochSeconds
    ) -> bytes | None:
        """Change the content of a live record and return the new one, or None if there is none.

        `changed` sees what the last change of any process left. An error of it changes nothing.
        """
        with self._database.writing() as connection:
            return change_record(connection, kind, name, changed, now)

    def replace(
        self,
        kind: RecordKind,
        name: str,
        added: Iterable[NewRecord],
        now: EpochSeconds,
        before_commit: Callable[[], None],
    ) -> bool:
        """Take a live record and add others in its place, all or nothing; return False if there is none.

        An error of `before_commit` leaves the record where it is.
        """
        with self._database.writing() as connection:
            if take_record(connection, kind, name, now) is None:
                return False
            for one in added:
                add_record(connection, one.kind, one.name, one.content, expires_at=one.expires_at, now=now)
            before_commit()
        return True

    def drop(self, kind: RecordKind, name: str) -> None:
        """Delete a record if there is one."""
        with self._database.writing() as connection:
            drop_record(connection, kind, name)


def add_record(
    connection: Connection,
    kind: RecordKind,
    name: str,
    content: bytes = b"",
    *,
    expires_at: int,
    now: EpochSeconds,
) -> bool:
    """Add a record in a writer's transaction; return False if a live one has this name.

    Long expired records are deleted, none that a process with a slow clock could take for live.
    """
    ended = now - LONGEST_CLOCK_SKEW
    connection.execute(delete(expiring_records).where(expiring_records.c.expires_at <= ended))
    if find_record(connection, kind, name, now) is not None:
        return False
    connection.execute(delete(expiring_records).where(_is(kind, name)))
    row = {"kind": kind, "name_hash": hash_of(name), "content": content, "expires_at": expires_at}
    connection.execute(insert(expiring_records).values(row))
    return True


def find_record(connection: Connection, kind: RecordKind, name: str, now: EpochSeconds) -> bytes | None:
    """Return the content of a live record, or None."""
    query = select(expiring_records.c.content).where(_is(kind, name), expiring_records.c.expires_at > now)
    found: bytes | None = connection.execute(query).scalar_one_or_none()
    return None if found is None else bytes(found)


def take_record(connection: Connection, kind: RecordKind, name: str, now: EpochSeconds) -> bytes | None:
    """Return the content of a live record and delete it in a writer's transaction, or return None."""
    found = find_record(connection, kind, name, now)
    if found is not None:
        connection.execute(delete(expiring_records).where(_is(kind, name)))
    return found


def drop_record(connection: Connection, kind: RecordKind, name: str) -> None:
    """Delete a record in a writer's transaction if there is one."""
    connection.execute(delete(expiring_records).where(_is(kind, name)))


def change_record(
    connection: Connection,
    kind: RecordKind,
    name: str,
    changed: Callable[[bytes], bytes],
    now: EpochSeconds,
) -> bytes | None:
    """Change a live record in a writer's transaction; return its new content, or None if there is none."""
    before = find_record(connection, kind, name, now)
    if before is None:
        return None
    after = changed(before)
    connection.execute(update(expiring_records).where(_is(kind, name)).values(content=after))
    return after


def _is(kind: RecordKind, name: str) -> ColumnElement[bool]:
    return and_(expiring_records.c.kind == kind, expiring_records.c.name_hash == hash_of(name))


def hash_of(name: str) -> bytes:
    """Return the SHA-256 by which a record of this name is found."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
