"""Counts of a process's pool of connections to the database."""

from typing import NamedTuple

from sqlalchemy import QueuePool

from macaroon_cbat.stores.database import Database


class PoolCounts(NamedTuple):
    """Connections that requests use, and those that wait for the next request."""

    in_use: int
    idle: int


def pool_counts(database: Database) -> PoolCounts:
    """Return the counts of this process; zeros for a database in memory, which has one connection."""
    pool = database.engine.pool
    if not isinstance(pool, QueuePool):
        return PoolCounts(0, 0)
    return PoolCounts(pool.checkedout(), pool.checkedin())
