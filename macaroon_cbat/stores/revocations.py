"""Revocations in the database, in the order in which they were made, as the feed sends them.

The `sequence` of a revocation is drawn under the lock of the one writer. A follower that has read up to a
sequence never finds a smaller one later.
"""

import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
)

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
from macaroon_cbat.stores.announcements import announce
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.prepared import Prepared
from macaroon_cbat.stores.schema import feed_positions, revocations

MEMORY_SECONDS = 1.0
"""The seconds for which a process takes a certificate as not revoked before it reads the database again."""

_MOST_REMEMBERED = 10_000
PAGE = 10_000
"""Revocations on one page of the feed at most."""
LONGEST_NAME = 2000
"""Bytes of a name at most. PostgreSQL's index takes a little more."""


class RevocationPage(Struct, frozen=True):
    """A page of the feed, the cursor of the next page, and `is_last` if there is none yet."""

    decisions: list[Revocation]
    cursor: int
    is_last: bool = True


class RevocationStore:
    """The live revocations of all processes that share the database."""

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Use this database; `monotonic` returns seconds and is the clock of the memory."""
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
        """Revoke what is named, for one `audience` or, with None, for all; return the revocation.

        A second revocation moves `revoked_at` forward, which matters for clients and subjects, and never
        back. It never narrows the audiences of the first. Raises InvalidRequest for a value that cannot be
        a name of this kind.
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

    def concerning(self, grant: Grant, *certificates: Thumbprint | None) -> Revocations:
        """Return the revocations that concern this grant on a connection with any of these certificates."""
        names = dict.fromkeys(name for each in certificates for name in names_of(grant, each))
        return Revocations(map(_decision, self._database.rows(_about_names(len(names)), _named(names))))

    def reason(self, grant: Grant, certificate: Thumbprint | None, /) -> str | None:
        """Return why this grant is refused on a connection with this certificate, or None."""
        return self.concerning(grant, certificate).reason(grant, certificate)

    def has_certificate(self, certificate: Thumbprint) -> bool:
        """Return True if a certificate is revoked. False may be MEMORY_SECONDS old."""
        if self._monotonic() < self._unrevoked_until.get(certificate, 0.0):
            return False
        is_revoked = bool(self._database.rows(_about_names(1), _named([("certificate", certificate)])))
        if len(self._unrevoked_until) >= _MOST_REMEMBERED:
            self.forget()
        if not is_revoked:
            self._unrevoked_until[certificate] = self._monotonic() + MEMORY_SECONDS
        return is_revoked

    def after(self, cursor: int, *audiences: str, limit: int = PAGE) -> RevocationPage:
        """Return the revocations after the cursor that concern these audiences, oldest first.

        The cursor of the page passes revocations that concern other audiences. Expired revocations may be
        on the page: they do no harm.
        """
        if (newest := self.newest()) <= cursor:
            return RevocationPage([], cursor)
        concerns = or_(revocations.c.audience.is_(None), revocations.c.audience.in_(audiences))
        query = select(revocations).where(revocations.c.sequence > cursor, concerns)
        with self._database.reading() as connection:
            # No upper bound: what was revoked again after `newest` was read has a later sequence by now.
            rows = connection.execute(query.order_by(revocations.c.sequence).limit(limit)).all()
        last = rows[-1].sequence if rows else cursor
        is_whole = len(rows) < limit
        return RevocationPage(
            [_decision(row) for row in rows], max(newest, last) if is_whole else last, is_whole
        )

    def live(
        self, cursor: int, now: EpochSeconds, kind: RevocationKind | None = None, *, limit: int = PAGE
    ) -> RevocationPage:
        """Return the revocations that are live now, of one kind or of all, in the order of the feed."""
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
        found = self._database.rows(_POSITION, {"feed": "revocations"})
        position: int = found[0].position if found else 0
        return position


def concerning(connection: Connection, grant: Grant, certificate: Thumbprint | None) -> Revocations:
    """Return the revocations that concern this grant on a connection with this certificate."""
    names = list(names_of(grant, certificate))
    return Revocations(_decision(row) for row in connection.execute(_about(len(names)), _named(names)))


def _named(names: Iterable[tuple[RevocationKind, str]]) -> dict[str, str]:
    """Return the values of the query about these names."""
    values: dict[str, str] = {}
    for n, (kind, value) in enumerate(names):
        values[f"kind_{n}"], values[f"value_{n}"] = kind, value
    return values


def refuse_nameless(kind: RevocationKind, value: str) -> None:
    """Raise InvalidRequest for a name that would make the feed unreadable, or that a database rejects."""
    try:
        if kind == "certificate":
            parse_thumbprint(value)
        if not 1 <= len(value.encode()) <= LONGEST_NAME or "\0" in value:
            raise ValueError(f"the {kind} is malformed: write 1 to {LONGEST_NAME} bytes of text without NUL")
    except ValueError as error:
        raise InvalidRequest(str(error)) from error


def record(
    connection: Connection,
    decision: Revocation,
    audience: str | None = None,
    *,
    now: EpochSeconds | None = None,
) -> Revocation:
    """Append the revocation in a writer's transaction; return it, merged with one of the same name.

    `now` is the second of the revocation if that is not `revoked_at`.
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
    """Return the revocation and its audience, merged with an earlier revocation of the same name."""
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
    """Return the next sequence. It has a table of its own, because expired revocations are deleted."""
    position = (connection.execute(_NEWEST).scalar_one_or_none() or 0) + 1
    connection.execute(delete(feed_positions).where(feed_positions.c.feed == "revocations"))
    connection.execute(insert(feed_positions).values(feed="revocations", position=position))
    announce(connection)
    return position


@cache
def _about(count: int) -> Select[Any]:
    """Return the query about so many names. It is made once: every use of a token asks it."""
    kind, value = revocations.c.kind, revocations.c.value
    return select(revocations).where(
        or_(*((kind == bindparam(f"kind_{n}")) & (value == bindparam(f"value_{n}")) for n in range(count)))
    )


@cache
def _about_names(count: int) -> Prepared:
    return Prepared(_about(count))


def _is_about(kind: RevocationKind, value: str) -> ColumnElement[bool]:
    return and_(revocations.c.kind == kind, revocations.c.value == value)


def _decision(row: Row[tuple[int, str, str, str | None, int, int]]) -> Revocation:
    return Revocation(kind=row.kind, value=row.value, revoked_at=row.revoked_at, expires_at=row.expires_at)


_NEWEST = select(func.max(feed_positions.c.position)).where(feed_positions.c.feed == "revocations")
_POSITION = Prepared(select(feed_positions.c.position).where(feed_positions.c.feed == bindparam("feed")))
