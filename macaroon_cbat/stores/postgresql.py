"""PostgreSQL, used so that no state outlives a transaction and a pooler may stand in front.

PgBouncer in transaction mode may give each transaction another connection to the server. So statements are
never prepared, settings are made for one transaction, and the lock of the writers ends with it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, event

from macaroon_cbat.stores.sqlite import BUSY_SECONDS

_WRITER_LOCK = 0x6D616361726F6F6E
"""The number of the advisory lock that every writer takes: "macaroon" in ASCII."""

_SEARCH_PATH = re.compile(r"(?:-c\s*|--)search[_-]path=((?:\\.|[^\s\\])*)")


def postgresql_arguments(url: URL) -> dict[str, object]:
    """Return the arguments of psycopg that detect a vanished server soon, on a silent network as well.

    Options of the URL take precedence.
    """
    wanted = {
        "connect_timeout": BUSY_SECONDS,
        "tcp_user_timeout": BUSY_SECONDS * 1000,
        "keepalives_idle": BUSY_SECONDS,
        "keepalives_interval": 1,
        "keepalives_count": 3,
    }
    return {
        "prepare_threshold": None,
        **{name: value for name, value in wanted.items() if name not in url.query},
    }


def prepare_postgresql(engine: Engine) -> None:
    """Use connections that do not wait for ever for an answer, to the schema that the URL names."""
    from macaroon_cbat.stores.impatient import ImpatientConnection  # psycopg is there by now

    wanted = _search_path(engine.url)

    @event.listens_for(engine, "do_connect")
    def _connecting(
        _dialect: object, _record: object, arguments: tuple[str, ...], options: dict[str, Any]
    ) -> Any:
        connection = ImpatientConnection.connect(*arguments, **options)
        if wanted is not None:
            connection.refuse_other_schema(wanted)
        return connection


def _search_path(url: URL) -> str | None:
    """Return the search path in the `options` of the URL, or None."""
    options = url.query.get("options")
    found = _SEARCH_PATH.findall(options) if isinstance(options, str) else []
    return re.sub(r"\\(.)", r"\1", found[-1]) if found else None


def take_writers_lock(writer: Connection) -> None:
    """Wait for other writers. One writer at a time, as on SQLite, leaves no gaps in the feed."""
    writer.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
    writer.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")


@contextmanager
def unhurried(connection: Connection) -> Iterator[None]:
    """Lift the time limit of statements in the block: a migration takes as long as its tables are large."""
    driver: Any = connection.connection.driver_connection
    driver.answer_seconds, before = None, driver.answer_seconds
    try:
        yield
    finally:
        driver.answer_seconds = before
