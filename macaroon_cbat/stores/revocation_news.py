"""News of revocations for all audiences, which a process reads once, however many followers wait in it."""

from typing import Any

from msgspec import Struct
from sqlalchemy import bindparam, select

from macaroon_cbat.macaroon.revocation import Revocation
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.prepared import Prepared
from macaroon_cbat.stores.revocations import PAGE, RevocationStore
from macaroon_cbat.stores.schema import revocations

_MARGIN = 100
"""The revocations that may be made between two statements of one look."""


class News(Struct, frozen=True):
    """The revocations after a position, for all audiences; `is_last` if none is left in the database."""

    rows: list[Any]
    """Rows of the table, oldest first; `decision_of` reads one."""
    position: int
    is_last: bool


class RevocationNews:
    """The revocations of all processes on a database, as they come."""

    def __init__(self, stored: RevocationStore, database: Database) -> None:
        """Read this database."""
        self._stored = stored
        self._database = database

    def position(self) -> int:
        """Return the position of the newest revocation; 0 before the first. Raises Unavailable."""
        return self._stored.newest()

    def after(self, position: int, limit: int = PAGE) -> News:
        """Return the revocations after this position, or raise Unavailable.

        The position is an earlier one if an operator has restored an older database. The revocations are
        read after the newest position: what is revoked again in between has a later one, and is found there.
        """
        newest = self.position()
        if newest <= position:
            return News([], newest, is_last=True)
        rows = self._database.rows(_BETWEEN, {"position": position, "up_to": position + limit})
        last = rows[-1].sequence if rows else position
        reached = min(position + limit, max(newest, last))
        return News(rows, reached, is_last=newest <= position + limit - _MARGIN)


def decision_of(row: Any) -> Revocation:
    """Return the revocation of a row."""
    return Revocation(kind=row.kind, value=row.value, revoked_at=row.revoked_at, expires_at=row.expires_at)


_BETWEEN = Prepared(
    select(revocations)
    .where(revocations.c.sequence > bindparam("position"), revocations.c.sequence <= bindparam("up_to"))
    .order_by(revocations.c.sequence)
)
