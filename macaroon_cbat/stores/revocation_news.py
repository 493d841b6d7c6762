"""News of revocations for all audiences, which a process reads once, however many followers wait in it."""

from typing import Any

from msgspec import Struct
from sqlalchemy import bindparam, select

from macaroon_cbat.macaroon.revocation import Revocation
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.prepared import Prepared
from macaroon_cbat.stores.revocations import PAGE
from macaroon_cbat.stores.schema import feed_positions, revocations


class News(Struct, frozen=True):
    """The revocations after a position, for all audiences; `is_last` if none is left in the database."""

    rows: list[Any]
    """Rows of the table, oldest first; `decision_of` reads one."""
    position: int
    is_last: bool


class RevocationNews:
    """The revocations of all processes on a database, as they come."""

    def __init__(self, database: Database) -> None:
        """Read this database."""
        self._database = database

    def position(self) -> int:
        """Return the position of the newest revocation; 0 before the first. Raises Unavailable."""
        found = self._database.rows(_POSITION, {"feed": "revocations"})
        position: int = found[0].position if found else 0
        return position

    def after(self, position: int, limit: int = PAGE) -> News:
        """Return the revocations after this position, or raise Unavailable.

        The position is an earlier one if an operator has restored an older database.
        """
        newest = self.position()
        if newest <= position:
            return News([], newest, is_last=True)
        up_to = min(newest, position + limit)
        rows = self._database.rows(_BETWEEN, {"position": position, "up_to": up_to})
        return News(rows, up_to, is_last=up_to == newest)


def decision_of(row: Any) -> Revocation:
    """Return the revocation of a row."""
    return Revocation(kind=row.kind, value=row.value, revoked_at=row.revoked_at, expires_at=row.expires_at)


_POSITION = Prepared(select(feed_positions.c.position).where(feed_positions.c.feed == bindparam("feed")))
_BETWEEN = Prepared(
    select(revocations)
    .where(revocations.c.sequence > bindparam("position"), revocations.c.sequence <= bindparam("up_to"))
    .order_by(revocations.c.sequence)
)
