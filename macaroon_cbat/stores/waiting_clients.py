"""The registrations of many clients at a time."""

from collections.abc import Iterable

from sqlalchemy import select

from macaroon_cbat.stores.client_rows import client_of
from macaroon_cbat.stores.clients import Client
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.schema import clients

_MOST = 1000
"""The names in one statement: a database takes a limited number of values."""


def clients_named(database: Database, names: Iterable[str]) -> dict[str, Client | None]:
    """Return the clients of these names as they are now, None for each that is not registered."""
    found: dict[str, Client | None] = dict.fromkeys(names)
    asked = list(found)
    with database.reading() as connection:
        for start in range(0, len(asked), _MOST):
            query = select(clients).where(clients.c.client_id.in_(asked[start : start + _MOST]))
            found |= {row.client_id: client_of(*tuple(row)) for row in connection.execute(query)}
    return found
