"""PostgreSQL as the service uses it: nothing outlives a transaction, so a pooler may stand in front.

PgBouncer in transaction mode gives each transaction any connection of its own to the server. Statements are
never prepared, settings are set for their transaction alone, and the writers' lock ends with it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, event

from macaroon_cbat.stores.sqlite import BUSY_SECONDS

_WRITER_LOCK = 0x6D616361726F6F6E
"""The advisory lock that every writer takes: \"macaroon\" in ASCII."""

_SEARCH_PATH = re.compile(r"(?:-c\s*|--)search[_-]path=((?:\\.|[^\s\\])*)")


def postgresql_arguments(url: URL) -> dict[str, object]:
    """Return how psycopg connects: a server that has vanished is noticed soon, on a silent network too.

    What the URL says comes first.
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
    """Connect by connections that do not wait for an answer for ever, to the schema that the URL names."""
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
    """Return the schemas that the URL's `options` ask for, or None."""
    options = url.query.get("options")
    found = _SEARCH_PATH.findall(options) if isinstance(options, str) else []
    return re.sub(r"\\(.)", r"\1", found[-1]) if found else None


def take_writers_lock(writer: Connection) -> None:
    """Wait for the other writers, as on SQLite there is one at a time: so reads of the feed have no gaps."""
    writer.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
    writer.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")


@contextmanager
def unhurried(connection: Connection) -> Iterator[None]:
    """Let the statements of the block take their time: those of a migration are as long as tables are."""
    driver: Any = connection.connection.driver_connection
    driver.answer_seconds, before = None, driver.answer_seconds
    try:
        yield
    finally:
        driver.answer_seconds = before
