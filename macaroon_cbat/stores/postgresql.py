"""PostgreSQL, used so that no state outlives a transaction and a pooler may stand in front.

PgBouncer in transaction mode may give each transaction another connection to the server. So statements are
never prepared, settings are made for one transaction, and the lock of the writers ends with it.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import Any, Literal

from sqlalchemy import URL, Connection, Engine, event, text

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.stores.hosts import CONNECT_SECONDS, Hosts
from macaroon_cbat.stores.sqlite import BUSY_SECONDS

_WRITER_LOCK = 0x6D616361726F6F6E
"""The number of the advisory lock that every writer takes: "macaroon" in ASCII."""

_PROOF_LOCK = _WRITER_LOCK + 1

Work = Literal["writing", "migrating", "proving"]
"""The work of a transaction that changes something."""

_BEGIN_WRITING = (
    "SELECT set_config('lock_timeout', '{seconds}s', true), "
    "set_config('client_min_messages', 'warning', true), "
    "CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') "
    "THEN set_config('synchronous_commit', 'on', true) END, "
    "pg_advisory_xact_lock({number})"
)
MIGRATION_SECONDS = 600
"""The seconds that a migration waits for another one."""

_SITUATION = "SELECT pg_is_in_recovery(), current_setting('synchronous_standby_names') <> ''"
_STANDBY = (
    "the server is a standby, which may lag behind: name the primary in the database URL, or the hosts of "
    "both with a comma between"
)
_WRITE = "SELECT pg_logical_emit_message(true, 'macaroon_cbat', '')"
"""Writes a few bytes that belong to no table, and are committed as anything else is."""

Begin = Callable[[], AbstractContextManager[Connection]]

_SEARCH_PATH = re.compile(r"(?:-c\s*|--)search[_-]path=((?:\\.|[^\s\\])*)")


def postgresql_arguments(url: URL, hosts: Hosts) -> dict[str, object]:
    """Return the arguments of psycopg that detect a vanished server soon, on a silent network as well.

    Text is in UTF-8, whatever the role or the database is set to. Options of the URL take precedence.
    """
    wanted: dict[str, object] = {
        "client_encoding": "utf8",
        "connect_timeout": BUSY_SECONDS,
        "tcp_user_timeout": BUSY_SECONDS * 1000,
        "keepalives_idle": BUSY_SECONDS,
        "keepalives_interval": 1,
        "keepalives_count": 3,
    }
    if len(hosts.all) > 1:
        wanted["connect_timeout"] = CONNECT_SECONDS
    return {
        "prepare_threshold": None,
        **{name: value for name, value in wanted.items() if name not in url.query},
    }


def prepare_postgresql(engine: Engine, hosts: Hosts, *, is_for_a_command: bool) -> None:
    """Use connections that do not wait for ever for an answer, to the schema that the URL names.

    A command may read a standby. For a service, another server than before is proved as it is connected to:
    the last proof of `prove_primary` was about the server before.
    """
    from macaroon_cbat.stores.impatient import ImpatientConnection  # psycopg is there by now

    wanted = _search_path(engine.url)

    def check(connection: ImpatientConnection) -> None:
        connection.hear_warnings()
        if not is_for_a_command and connection.is_to_another(hosts):
            lock = _BEGIN_WRITING.format(seconds=BUSY_SECONDS, number=_PROOF_LOCK)
            connection.prove(_SITUATION, _STANDBY, (lock, _WRITE))

    @event.listens_for(engine, "do_connect")
    def _connecting(
        _dialect: object, _record: object, arguments: tuple[str, ...], options: dict[str, Any]
    ) -> Any:
        connection = ImpatientConnection.connect_to_one_of(hosts, check, *arguments, **options)
        if wanted is not None:
            connection.refuse_other_schema(wanted)
        connection.belongs_to(hosts)
        return connection


def is_pooled(connection: Any) -> bool:
    """Return True if a pooler such as PgBouncer stands between: another process answers than the first one.

    A pooler that lends the server for one transaction would listen for its next client.
    """
    (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone()
    is_other: bool = pid != connection.info.backend_pid
    return is_other


def _search_path(url: URL) -> str | None:
    """Return the search path in the `options` of the URL, or None."""
    options = url.query.get("options")
    found = _SEARCH_PATH.findall(options) if isinstance(options, str) else []
    return re.sub(r"\\(.)", r"\1", found[-1]) if found else None


def take_lock(writer: Connection, work: Work) -> None:
    """Wait for others that do this work. One writer at a time, as on SQLite, leaves no gaps in the feed.

    A commit is acknowledged once it lasts, and a warning about it is heard, whatever the server or the role
    is set to. A migration waits for another one, and then no longer than any writer for the users of a table,
    who would wait behind it. Of proofs one alone can be stuck on a server that is cut off, and none waits for
    a migration.
    """
    number = _PROOF_LOCK if work == "proving" else _WRITER_LOCK
    if work != "migrating":
        writer.exec_driver_sql(_BEGIN_WRITING.format(seconds=BUSY_SECONDS, number=number))
        return
    with unhurried(writer):
        writer.exec_driver_sql(_BEGIN_WRITING.format(seconds=MIGRATION_SECONDS, number=number))
    writer.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")


def prove_primary(place: str, reading: Begin, writing: Begin) -> None:
    """Raise Unavailable unless the server is the primary, and its synchronous standby has what it commits.

    A server that is not is given up, and the next host of the URL is tried.
    """
    for tried in count(1):
        with reading() as connection:
            driver: Any = connection.connection.driver_connection
            is_standby, waits_for_one = connection.execute(text(_SITUATION)).one()
        try:
            if is_standby:
                raise Unavailable(f"the database in {place} cannot be used: {_STANDBY}")
            if waits_for_one:
                with writing() as connection:
                    connection.execute(text(_WRITE))
        except Unavailable:
            driver.give_up()
            if tried >= driver.number_of_hosts:
                raise
        else:
            return


@contextmanager
def unhurried(connection: Connection) -> Iterator[None]:
    """Lift PostgreSQL's time limit of statements in the block: some take as long as tables are large."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name != "postgresql":
        yield
        return
    driver.answer_seconds, before = None, driver.answer_seconds
    try:
        yield
    finally:
        driver.answer_seconds = before
