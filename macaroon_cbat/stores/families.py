"""Refresh families in the database: each is one consent, and the chain of refresh tokens that follow from it.

A family has a key of its own, encrypted at rest, so that its tokens outlive the root keys, which rotate. It
has one current token. Of all processes that use that token at once, one moves the family on.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, or_, select, tuple_, update

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.keys import RootKey
from macaroon_cbat.macaroon.revocation import Revocation
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.expiring import RecordChange, change_record
from macaroon_cbat.stores.family import Family, Granted, Place, Rotation
from macaroon_cbat.stores.prepared import Prepared
from macaroon_cbat.stores.revocations import concerning, record, refuse_nameless
from macaroon_cbat.stores.schema import families
from macaroon_cbat.stores.wrapping_key import WrappingKey


class FamilyStore:
    """The live families of all processes that share the database."""

    def __init__(self, database: Database, wrapping_key: Callable[[], WrappingKey]) -> None:
        """Use this database, and encrypt the keys of families under the key that this returns."""
        self._database = database
        self._wrapping_key = wrapping_key

    def begin(
        self,
        new: Family,
        key: RootKey,
        grant: Grant,
        now: EpochSeconds,
        uses: RecordChange | None = None,
        *,
        before_commit: Callable[[], None] = lambda: None,
    ) -> str | None:
        """Begin a family with its key and the grant of its first token; forget those that have expired.

        Returns the reason, and begins nothing, if the grant is revoked already: the client, the subject, or
        the family itself, whose name may be known before it begins. `uses` is the change of the record that
        the family comes from, in the same transaction: its error begins nothing, as that of
        `before_commit` does. Raises InvalidRequest for a subject that cannot be a name.
        """
        refuse_nameless("subject", new.subject)
        row = msgspec.structs.asdict(new) | {
            "content": msgspec.json.encode(new.granted).decode(),
            "certificate": new.granted.certificate,
            "wrapped_secret": self._wrapping_key().wrap(_sealed_name(new.family), key.secret),
        }
        del row["granted"]
        with self._database.writing() as connection:
            if uses is not None and change_record(connection, *uses, now) is None:
                return "what it comes from has ended"
            if reason := concerning(connection, grant, new.granted.certificate).reason(
                grant, new.granted.certificate
            ):
                return reason
            connection.execute(delete(families).where(families.c.expires_at <= now - _KEPT_SECONDS))
            connection.execute(insert(families).values(row))
            before_commit()
        return None

    def find(self, family: str, now: EpochSeconds) -> tuple[Family, RootKey] | None:
        """Return a live family and its key, or None."""
        if "\0" in family:
            return None  # PostgreSQL fails on NUL, and no one has verified the name yet
        rows = self._database.rows(_FIND, {"name": family, "now": now})
        if not rows:
            return None
        [row] = rows
        try:
            secret = self._wrapping_key().unwrap(_sealed_name(family), bytes(row.wrapped_secret))
        except SettingsError as error:  # another process began it under a key that was replaced meanwhile
            raise Unavailable(str(error)) from error
        return _family(row), RootKey(family, secret)

    def rotate(
        self,
        family: str,
        presented_id: str,
        successor: tuple[str, EpochSeconds],
        now: EpochSeconds,
        *,
        grace: int,
        lasting: int,
        before_commit: Callable[[], None],
    ) -> Rotation:
        """Replace the presented token by its successor, all in one transaction.

        `successor` is the id of the new token, and the second in which it expires. A token that was
        replaced within the last `grace` seconds is answered with the current one. Any other ends the family
        and revokes, for `lasting` seconds, the access tokens that it gave. `before_commit` runs unless the
        token is refused; if it or the database fails, the presented token stays as good as it was.
        """
        with self._database.writing() as connection:
            found = _found(connection, family, now)
            if found is None:
                return Rotation("gone", None)
            if presented_id == found.token_id:
                found = _moved_on(connection, found, *successor, now)
                before_commit()
                return Rotation("rotated", found)
            if found.was_just_replaced(presented_id, now, grace):
                before_commit()
                return Rotation("repeated", found)
            _end(connection, found.family, now, lasting)
            return Rotation("replayed", found)

    def end(self, family: str, now: EpochSeconds, *, lasting: int) -> Family | None:
        """End a live family, revoke its access tokens, and return it; return None if there is none."""
        with self._database.writing() as connection:
            found = _found(connection, family, now)
            if found is not None:
                _end(connection, found.family, now, lasting)
        return found

    def forbid(self, family: str, now: EpochSeconds, *, lasting: int) -> None:
        """Revoke every token of a family that lives, or may begin still, and end it: all or nothing."""
        with self._database.writing() as connection:
            _end(connection, family, now, lasting)

    def end_that_of(self, token_id: str, now: EpochSeconds, *, lasting: int) -> Family | None:
        """End the live family whose current or previous refresh token has this id, and return it, or None."""
        is_named = or_(families.c.token_id == token_id, families.c.previous_id == token_id)
        with self._database.writing() as connection:
            query = select(families).where(is_named, families.c.expires_at > now)
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            _end(connection, row.family, now, lasting)
        return _family(row)

    def label(self, family: str, label: str | None, now: EpochSeconds) -> Family | None:
        """Give a live family this name for lists, or none; return it, or None if there is no such family."""
        with self._database.writing() as connection:
            found = _found(connection, family, now)
            if found is None:
                return None
            granted = msgspec.structs.replace(found.granted, label=label)
            content = msgspec.json.encode(granted).decode()
            connection.execute(update(families).where(families.c.family == family).values(content=content))
        return msgspec.structs.replace(found, granted=granted)

    def live(
        self,
        now: EpochSeconds,
        *,
        client_id: str | None = None,
        subject: str | None = None,
        certificate: str | None = None,
        after: Place = (0, ""),
        limit: int,
    ) -> tuple[list[Family], Place | None]:
        """Return live families of all these that are named, or all, oldest first, and where to go on."""
        place = tuple_(families.c.created_at, families.c.family)
        query = select(families).where(place > tuple_(*after), families.c.expires_at > now)
        for column, value in (
            (families.c.client_id, client_id),
            (families.c.subject, subject),
            (families.c.certificate, certificate),
        ):
            query = query if value is None else query.where(column == value)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(*place).limit(limit + 1)).all()
        found = [_family(row) for row in rows[:limit]]
        last = (found[-1].created_at, found[-1].family) if len(rows) > limit else None
        return found, last


def end_families(connection: Connection, kind: Literal["client", "subject"], name: str) -> None:
    """End every family of a client or subject in a writer's transaction that revokes its tokens as well."""
    column = families.c.client_id if kind == "client" else families.c.subject
    connection.execute(delete(families).where(column == name))


def has_family(connection: Connection, subject: str) -> bool:
    """Return True if a subject of this name has a family."""
    query = select(families.c.family).where(families.c.subject == subject).limit(1)
    return connection.execute(query).one_or_none() is not None


def rewrap_families(connection: Connection, old: WrappingKey, new: WrappingKey) -> None:
    """Encrypt the key of every family anew in a writer's transaction."""
    for family, sealed in connection.execute(select(families.c.family, families.c.wrapped_secret)).all():
        name = _sealed_name(family)
        wrapped = new.wrap(name, old.unwrap(name, bytes(sealed)))
        connection.execute(update(families).where(families.c.family == family).values(wrapped_secret=wrapped))


_KEPT_SECONDS = 600  # longer than the clocks of two processes differ


def _sealed_name(family: str) -> str:
    """Return the name that is sealed with a family's key: no root key can stand in its place."""
    return f"family {family}"


def _found(connection: Connection, family: str, now: EpochSeconds) -> Family | None:
    if "\0" in family:
        return None
    rows = _FIND.within(connection, {"name": family, "now": now})
    return _family(rows[0]) if rows else None


def _moved_on(
    connection: Connection, found: Family, token_id: str, expires_at: EpochSeconds, now: EpochSeconds
) -> Family:
    moved = {
        "token_id": token_id, "previous_id": found.token_id, "rotated_at": now, "expires_at": expires_at
    }  # fmt: skip
    # A process of an older release, which may begin families beside this one, leaves the column empty.
    _MOVE.within(connection, {"name": found.family, "certificate": found.granted.certificate} | moved)
    return msgspec.structs.replace(found, **moved)


def _end(connection: Connection, family: str, now: EpochSeconds, lasting: int) -> None:
    connection.execute(delete(families).where(families.c.family == family))
    decision = Revocation(kind="family", value=family, revoked_at=now, expires_at=now + lasting)
    record(connection, decision)


def _family(row: Any) -> Family:
    columns = {name: getattr(row, name) for name in Family.__struct_fields__ if name != "granted"}
    return Family(granted=_DECODER.decode(row.content), **columns)


_DECODER = msgspec.json.Decoder(Granted)
_IS_NAMED = families.c.family == bindparam("name")
_FIND = Prepared(select(families).where(_IS_NAMED, families.c.expires_at > bindparam("now")))
_MOVED = ("token_id", "previous_id", "rotated_at", "expires_at", "certificate")
_MOVE = Prepared(update(families).where(_IS_NAMED).values({name: bindparam(name) for name in _MOVED}))
"""These statements are made once: every refresh executes them."""
