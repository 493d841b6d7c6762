"""Revocations in the database, in the order in which they were made: what the feed hands out.

A revocation's `sequence` is drawn while the one writer's lock is held, so whoever has read up to one
sequence will never find a smaller one later.
"""

import time
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, or_, select

from macaroon_cbat.certificate.thumbprint import Thumbprint, parse_thumbprint
from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.revocation import (
    KEPT_LONGER_SECONDS,
    Revocation,
    RevocationKind,
    Revocations,
    names_of,
)
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.schema import feed_positions, revocations

MEMORY_SECONDS = 1.0
"""How long a process goes on with a certificate that was not revoked before it looks again."""

_MOST_REMEMBERED = 10_000
PAGE = 10_000
"""How many revocations one page of the feed holds at most."""
LONGEST_NAME = 2000
"""Bytes; PostgreSQL's index takes a little more."""


class RevocationPage(Struct, frozen=True):
    """A stretch of the feed, the cursor from which to read on, and whether there is more by now."""

    decisions: list[Revocation]
    cursor: int
    is_last: bool = True


class RevocationStore:
    """Every live revocation, for all processes that share the database."""

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Keep revocations in this database."""
        self._database = database
        self._monotonic = monotonic
        self._unrevoked_until: dict[Thumbprint, float] = {}

    def revoke(
        self,
        kind: RevocationKind,
        value: str,
        *,
        now: EpochSeconds,
        expires_at: int,
        audience: str | None = None,
    ) -> Revocation:
        """Take something back; `audience` is the only one that it concerns, None for all.

        Doing it again moves `revoked_at` on, which matters for clients and subjects, and never back:
        what was revoked stays so, for all that it concerned, whatever the clock says. Raises
        InvalidRequest for a value that can be the name of nothing.
        """
        refuse_nameless(kind, value)
        decision = Revocation(kind=kind, value=value, revoked_at=now, expires_at=expires_at)
        with self._database.writing() as connection:
            recorded = record(connection, decision, audience)
        self.forget()
        return recorded

    def forget(self) -> None:
        """Look each certificate up again at its next use, instead of up to MEMORY_SECONDS later."""
        self._unrevoked_until.clear()

    def concerning(self, grant: Grant, certificate: Thumbprint | None) -> Revocations:
        """Return the revocations that concern this grant on a connection with this certificate."""
        names = names_of(grant, certificate)
        with self._database.reading() as connection:
            query = select(revocations).where(or_(*(_is_about(kind, value) for kind, value in names)))
            return Revocations(_decision(row) for row in connection.execute(query))

    def reason(self, grant: Grant, certificate: Thumbprint | None, /) -> str | None:
        """Return why this grant is refused on a connection with this certificate, or None."""
        return self.concerning(grant, certificate).reason(grant, certificate)

    def has_certificate(self, certificate: Thumbprint) -> bool:
        """Tell whether a certificate is revoked; that it is not is at most MEMORY_SECONDS old."""
        if self._monotonic() < self._unrevoked_until.get(certificate, 0.0):
            return False
        with self._database.reading() as connection:
            query = select(revocations.c.sequence).where(_is_about("certificate", certificate))
            is_revoked = connection.execute(query).one_or_none() is not None
        if len(self._unrevoked_until) >= _MOST_REMEMBERED:
            self.forget()
        if not is_revoked:
            self._unrevoked_until[certificate] = self._monotonic() + MEMORY_SECONDS
        return is_revoked

    def after(self, cursor: int, *audiences: str, limit: int = PAGE) -> RevocationPage:
        """Return what was revoked after the cursor and concerns these audiences, oldest first.

        The page's cursor moves on over what concerns others. An expired decision is never wrong.
        """
        concerns = or_(revocations.c.audience.is_(None), revocations.c.audience.in_(audiences))
        with self._database.reading() as connection:
            newest = connection.execute(_NEWEST).scalar_one_or_none() or 0
            query = select(revocations).where(
                revocations.c.sequence > cursor, revocations.c.sequence <= newest, concerns
            )
            rows = connection.execute(query.order_by(revocations.c.sequence).limit(limit)).all()
        is_whole = len(rows) < limit
        return RevocationPage(
            [_decision(row) for row in rows],
            max(cursor, newest) if is_whole else rows[-1].sequence,
            is_whole,
        )

    def live(
        self, cursor: int, now: EpochSeconds, kind: RevocationKind | None = None, *, limit: int = PAGE
    ) -> RevocationPage:
        """Return what is revoked at this second, of one kind or of all, in the order of the feed."""
        query = select(revocations).where(revocations.c.sequence > cursor, revocations.c.expires_at > now)
        if kind is not None:
            query = query.where(revocations.c.kind == kind)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(revocations.c.sequence).limit(limit + 1)).all()
        shown = rows[:limit]
        last = shown[-1].sequence if shown else cursor
        return RevocationPage([_decision(row) for row in shown], last, len(rows) <= limit)

    def newest(self) -> int:
        """Return the cursor of the newest revocation; 0 before the first."""
        with self._database.reading() as connection:
            return connection.execute(_NEWEST).scalar_one_or_none() or 0


def refuse_nameless(kind: RevocationKind, value: str) -> None:
    """Raise InvalidRequest for what would make the feed unreadable, or what no database takes."""
    try:
        if kind == "certificate":
            parse_thumbprint(value)
        if not 1 <= len(value.encode()) <= LONGEST_NAME or "\0" in value:
            raise ValueError(f"a {kind} is named by 1 to {LONGEST_NAME} bytes of text without NUL")
    except ValueError as error:
        raise InvalidRequest(str(error)) from error


def record(
    connection: Connection,
    decision: Revocation,
    audience: str | None = None,
    *,
    now: EpochSeconds | None = None,
) -> Revocation:
    """Write the decision behind all others, in a writer's transaction; return what is known from now on.

    `now` is the second of the decision, where that is not when it was `revoked_at`.
    """
    ended = (decision.revoked_at if now is None else now) - KEPT_LONGER_SECONDS
    connection.execute(delete(revocations).where(revocations.c.expires_at <= ended))
    decision, audience = _merged(connection, decision, audience)
    connection.execute(delete(revocations).where(_is_about(decision.kind, decision.value)))
    row = {"sequence": _next_sequence(connection), "audience": audience} | asdict(decision)
    connection.execute(insert(revocations).values(row))
    return decision


def _merged(
    connection: Connection, decision: Revocation, audience: str | None
) -> tuple[Revocation, str | None]:
    """Return the decision, and whom it concerns, with what an earlier one about the same name said."""
    query = select(revocations).where(_is_about(decision.kind, decision.value))
    row = connection.execute(query).one_or_none()
    if row is None:
        return decision, audience
    revoked_at = max(decision.revoked_at, row.revoked_at)
    expires_at = max(decision.expires_at, row.expires_at)
    merged = Revocation(
        kind=decision.kind, value=decision.value, revoked_at=revoked_at, expires_at=expires_at
    )
    return merged, audience if audience == row.audience else None


def _next_sequence(connection: Connection) -> int:
    """Return the next sequence. It is kept apart, because revocations that expire are deleted."""
    position = (connection.execute(_NEWEST).scalar_one_or_none() or 0) + 1
    connection.execute(delete(feed_positions).where(feed_positions.c.feed == "revocations"))
    connection.execute(insert(feed_positions).values(feed="revocations", position=position))
    return position


def _is_about(kind: RevocationKind, value: str) -> ColumnElement[bool]:
    return and_(revocations.c.kind == kind, revocations.c.value == value)


def _decision(row: Row[tuple[int, str, str, str | None, int, int]]) -> Revocation:
    return Revocation(kind=row.kind, value=row.value, revoked_at=row.revoked_at, expires_at=row.expires_at)


_NEWEST = select(func.max(feed_positions.c.position)).where(feed_positions.c.feed == "revocations")
