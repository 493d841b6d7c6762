"""Registrations of clients by themselves: invitations, what is left of them, and keys of registration tokens.

Each invitation and each registered client has a key of its own, encrypted at rest: its macaroons outlive the
root keys, which rotate, and end with their record.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, delete, func, select, update

from macaroon_cbat.errors import InvalidToken, SettingsError, TooManyRequests, Unavailable
from macaroon_cbat.macaroon.claims import NEVER, EpochSeconds
from macaroon_cbat.macaroon.keys import KEY_BYTES, RootKey
from macaroon_cbat.stores.client_store import add_client
from macaroon_cbat.stores.clients import Client, ClientMetadata
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.expiring import RecordKind, add_record, drop_record, find_record, hash_of
from macaroon_cbat.stores.schema import clients, expiring_records
from macaroon_cbat.stores.self_registered import (
    bounds_of,
    drop_registration,
    end_registration_of,
    keep_bounds,
)
from macaroon_cbat.stores.wrapping_key import WrappingKey

MOST_UNUSED = 1000
"""Clients that registered openly and got no token yet, at most."""
SURE_SECONDS = 900
"""The seconds for which such a client surely stays: time for its person to log in and consent.

After them it gives way to a newcomer when all places are taken. An attacker that fills the places therefore
has to fill them again and again, and takes none away from a client that is about to be used.
"""

_KINDS: tuple[RecordKind, ...] = ("invitation", "registered")


class Counter(NamedTuple):
    """A bound on the number of registrations: the name of what is counted, and the most that is allowed."""

    name: str
    most: int


class NewRegistration(Struct, frozen=True, kw_only=True):
    """A client to register: its name, metadata and secret, and the bounds of every later change as JSON."""

    client_id: str
    metadata: ClientMetadata
    secret: str | None
    bounds: bytes
    invitation: str | None
    """The id of the initial access token; None if registration is open."""
    token_id: str
    """The id of the registration access token."""
    counters: tuple[Counter, ...]
    expires_at: EpochSeconds
    """The second in which the counters may be forgotten: the invitation has expired."""
    unused_until: EpochSeconds | None

    def __repr__(self) -> str:
        """Show the client, never its secret."""
        return f"<NewRegistration {self.client_id}>"


class Registered(Struct, frozen=True):
    """The key of a client's registration access token, and the bounds of its metadata as JSON."""

    key: RootKey
    bounds: bytes


class _Record(Struct, frozen=True):
    wrapped_secret: bytes
    bounds: msgspec.Raw = msgspec.Raw(b"null")
    token_id: str | None = None


class RegistrationStore:
    """The invitations and registrations of all processes that share the database."""

    def __init__(self, database: Database, wrapping_key: Callable[[], WrappingKey]) -> None:
        """Use this database, and encrypt keys under the key in force, which another may replace."""
        self._database = database
        self._wrapping_key = wrapping_key

    def invite(self, name: str, expires_at: EpochSeconds, now: EpochSeconds) -> RootKey:
        """Make the key of a new invitation of this name, which lives until it expires."""
        secret = os.urandom(KEY_BYTES)
        record = _Record(self._wrapping_key().wrap(_sealed("invitation", hash_of(name)), secret))
        with self._database.writing() as connection:
            content = msgspec.json.encode(record)
            add_record(connection, "invitation", name, content, expires_at=expires_at, now=now)
        return RootKey(name, secret)

    def invitation(self, name: str, now: EpochSeconds) -> RootKey | None:
        """Return the key of a live invitation, or None. Raises Unavailable."""
        found = self._found("invitation", name, now)
        return None if found is None else found.key

    def registered(self, client_id: str, now: EpochSeconds) -> Registered | None:
        """Return the key and bounds of a client that registered itself, or None."""
        return self._found("registered", client_id, now)

    def bounds(self, client_id: str, now: EpochSeconds) -> bytes | None:
        """Return the bounds of a client that registered itself as JSON, or None for an operator's client.

        They are known for as long as the client is: it is no operator's because its tokens were revoked.
        """
        with self._database.reading() as connection:
            return bounds_of(connection, client_id, now)

    def register(
        self, new: NewRegistration, now: EpochSeconds, before_commit: Callable[[Client], None]
    ) -> tuple[Client, RootKey]:
        """Register a client, count it, and make the key of its registration access token, all or nothing.

        Raises InvalidToken if the invitation has ended or has no registration left, TooManyRequests if too
        many openly registered clients are unused, and whatever `before_commit` raises.
        """
        secret = os.urandom(KEY_BYTES)
        wrapped = self._wrapping_key().wrap(_sealed("registered", hash_of(new.client_id)), secret)
        record = _Record(wrapped, msgspec.Raw(new.bounds), new.token_id)
        with self._database.writing() as connection:
            _spend(connection, new, now)
            if new.unused_until is not None:
                _remove_unused(connection, now)
            client = add_client(
                connection,
                new.client_id,
                new.metadata,
                secret=new.secret,
                now=now,
                unused_until=new.unused_until,
            )
            content = msgspec.json.encode(record)
            add_record(connection, "registered", new.client_id, content, expires_at=NEVER, now=now)
            keep_bounds(connection, new.client_id, new.bounds, now)
            before_commit(client)
        return client, RootKey(new.client_id, secret)

    def end(self, token_id: str) -> None:
        """End the invitation, or the registration access token, of this id; it may outlive a revocation.

        The registered client stays, and can no longer change its registration.
        """
        table = expiring_records.c
        with self._database.writing() as connection:
            drop_record(connection, "invitation", token_id)
            query = select(table.name_hash, table.content).where(table.kind == "registered")
            for name_hash, content in connection.execute(query).all():
                if msgspec.json.decode(bytes(content), type=_Record).token_id == token_id:
                    end_registration_of(connection, name_hash)

    def _found(self, kind: RecordKind, name: str, now: EpochSeconds) -> Registered | None:
        with self._database.reading() as connection:
            content = find_record(connection, kind, name, now)
        if content is None:
            return None
        record = msgspec.json.decode(content, type=_Record)
        try:
            secret = self._wrapping_key().unwrap(_sealed(kind, hash_of(name)), record.wrapped_secret)
        except SettingsError as error:  # another process made it under a key that was replaced meanwhile
            raise Unavailable(str(error)) from error
        return Registered(RootKey(name, secret), bytes(record.bounds))


def rewrap_registrations(connection: Connection, old: WrappingKey, new: WrappingKey) -> None:
    """Encrypt the key of every invitation and registration anew in a writer's transaction."""
    table = expiring_records.c
    query = select(table.kind, table.name_hash, table.content).where(table.kind.in_(_KINDS))
    for kind, name_hash, content in connection.execute(query).all():
        record = msgspec.json.decode(bytes(content), type=_Record)
        sealed = _sealed(kind, bytes(name_hash))
        secret = old.unwrap(sealed, record.wrapped_secret)
        anew = msgspec.json.encode(_Record(new.wrap(sealed, secret), record.bounds, record.token_id))
        is_this = (table.kind == kind) & (table.name_hash == name_hash)
        connection.execute(update(expiring_records).where(is_this).values(content=anew))


def _spend(connection: Connection, new: NewRegistration, now: EpochSeconds) -> None:
    """Count a registration in every counter of its invitation, or raise InvalidToken."""
    if new.invitation is None:
        return
    if find_record(connection, "invitation", new.invitation, now) is None:
        raise InvalidToken("the invitation has ended: ask for another one")
    for counter in new.counters:
        found = find_record(connection, "registration", counter.name, now)
        made = 0 if found is None else int(found)
        if made >= counter.most:
            raise InvalidToken(
                f"the invitation is used up: it allows {counter.most} registrations, ask for another one"
            )
        drop_record(connection, "registration", counter.name)
        content = str(made + 1).encode()
        add_record(connection, "registration", counter.name, content, expires_at=new.expires_at, now=now)


def _remove_unused(connection: Connection, now: EpochSeconds) -> None:
    """Remove openly registered clients that got no token in time, so that a newcomer has a place.

    The oldest gives way if all places are taken. Raises TooManyRequests while that one is too new.
    """
    expired = connection.execute(select(clients.c.client_id).where(clients.c.unused_until <= now)).scalars()
    for client_id in expired.all():
        _remove(connection, client_id)
    is_unused = clients.c.unused_until.is_not(None)
    waiting = select(func.count()).select_from(clients).where(is_unused)
    if connection.execute(waiting).scalar_one() < MOST_UNUSED:
        return
    oldest = select(clients.c.client_id, clients.c.created_at).where(is_unused)
    client_id, made = connection.execute(oldest.order_by(clients.c.created_at).limit(1)).one()
    if (left := made + SURE_SECONDS - now) > 0:
        raise TooManyRequests(f"too many clients registered that are not used yet: wait {left} s", left)
    _remove(connection, client_id)


def _remove(connection: Connection, client_id: str) -> None:
    connection.execute(delete(clients).where(clients.c.client_id == client_id))
    drop_registration(connection, client_id)


def _sealed(kind: str, name_hash: bytes) -> str:
    """Return the name that is sealed with a key: the key of no other record can stand in its place."""
    return f"{kind} {name_hash.hex()}"
