"""Connections to PostgreSQL with a time limit for every statement."""

import re
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

from macaroon_cbat.errors.extras import extra
from macaroon_cbat.stores.hosts import CONNECT_SECONDS, Host, Hosts
from macaroon_cbat.stores.sqlite import BUSY_SECONDS

with extra("postgresql"):
    from psycopg import Connection, Error, OperationalError
    from psycopg.errors import Diagnostic, ReadOnlySqlTransaction
    from psycopg.pq import TransactionStatus

ANSWER_SECONDS = 2 * BUSY_SECONDS
"""The seconds that one statement may take, the queue of a pooler included.

A suspended server keeps the connection open and is silent. So does a pooler that waits for a server:
PgBouncer lets its clients wait for two minutes.
"""

_SERVER = "SELECT extract(epoch from pg_postmaster_start_time())::text"
"""Names one server, until it is started again: no two begin in the same microsecond."""

_Answer = TypeVar("_Answer")


class ImpatientConnection(Connection[Any]):
    """A connection that is closed, with an OperationalError, if no answer comes in time.

    `answer_seconds` None means no limit. A statement that is a transaction by itself has half of the time:
    by one, the pool tries a connection that it kept.
    """

    answer_seconds: float | None = ANSWER_SECONDS
    _hosts: Hosts | None = None
    _host: Host | None = None
    _server = ""
    _generation = 0
    _warning: str | None = None

    @classmethod
    def connect_to_one_of(
        cls,
        hosts: Hosts,
        check: Callable[["ImpatientConnection"], None],
        *arguments: str,
        **options: Any,
    ) -> "ImpatientConnection":
        """Connect to the first host that takes writes, or to the only host, unless `check` raises an error.

        A host is asked itself: of a pooler, libpq learns no more than what its server was once. Where the URL
        has another `target_session_attrs`, libpq judges. Raises OperationalError if no host will do.
        """
        if len(hosts.all) < 2:
            connection = cls.connect(*arguments, **options)
            check(connection)
            return connection
        is_asked = options.get("target_session_attrs", "read-write") == "read-write"
        if is_asked:
            options.pop("target_session_attrs", None)
        failures = []
        for place in hosts.in_order():
            try:
                connection = cls.connect(*arguments, **options | place)
                if is_asked:
                    connection.refuse_read_only()
                check(connection)
            except Error as error:
                failures.append(f"{':'.join(place.values())}: {error}")
            else:
                return connection
        raise OperationalError(f"no host takes writes: {'; '.join(failures)}")

    def refuse_read_only(self) -> None:
        """Close the connection and raise OperationalError if its server takes no writes, or is silent."""
        try:
            self.answer_seconds = CONNECT_SECONDS
            (is_read_only,) = self.execute("SHOW transaction_read_only").fetchone() or ("on",)
            self.rollback()
            if is_read_only == "on":
                raise OperationalError("the server is read-only")
        except Error:
            self.close()
            raise
        del self.answer_seconds

    def is_to_another(self, hosts: Hosts) -> bool:
        """Return True if the last connection was to another server, wherever the name in the URL leads.

        Closes the connection and raises OperationalError if the server is silent.
        """
        try:
            self.answer_seconds = CONNECT_SECONDS
            (self._server,) = self.execute(_SERVER).fetchone() or ("",)
            self.rollback()
        except Error:
            self.close()
            raise
        del self.answer_seconds
        return hosts.is_other(self.info.host, self.info.port, self._server)

    def prove(self, situation: str, standby: str, writing: Iterable[str]) -> None:
        """Prove that the server is the primary, or close the connection and raise an error of the driver.

        `situation` returns whether it is a standby, and whether its commits wait for one. If they do, the
        statements of `writing` are committed.
        """
        try:
            self.answer_seconds = CONNECT_SECONDS
            is_standby, waits_for_one = self.execute(situation.encode()).fetchone() or (True, False)
            if is_standby:
                raise OperationalError(standby)
            for statement in writing if waits_for_one else ():
                self.execute(statement.encode())
            self.commit()
        except Error:
            self.close()
            raise
        del self.answer_seconds

    def hear_warnings(self) -> None:
        """Let `commit` know from now on what the server warns of."""
        self.add_notice_handler(self._noticed)

    def belongs_to(self, hosts: Hosts) -> None:
        """Tell the hosts of the URL which of them answered, and when it no longer does."""
        self._hosts = hosts
        self._host, self._generation = hosts.join(self.info.host, self.info.port, self._server)

    def give_up(self) -> None:
        """Let no one use this connection again, nor any other one that was made before now."""
        if self._hosts is not None:
            self._hosts.give_up(self._host, self._generation)

    @property
    def number_of_hosts(self) -> int:
        """The number of hosts in the URL."""
        return 1 if self._hosts is None else len(self._hosts.all)

    def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
        """Run the generator to its end, within the time limit."""
        self._refuse_given_up()
        try:
            seconds = self._seconds()
            if seconds is None:
                return super().wait(gen, *arguments, **options)
            return super().wait(_until(gen, time.monotonic() + seconds), *arguments, **options)
        except _NoAnswer as error:
            self.pgconn.finish()
            self._leave()
            raise OperationalError(f"no answer for {seconds:g} s") from error
        except ReadOnlySqlTransaction:
            self.give_up()  # a demoted primary keeps the connections that it has
            raise
        except OperationalError:
            if self.broken:
                self._leave()
            raise

    def commit(self) -> None:
        """Commit, or raise OperationalError if the server warns that the commit may not last.

        PostgreSQL reports success when an administrator ends its wait for the synchronous standby by
        pg_cancel_backend, though the transaction is lost if that standby is promoted. It only warns.
        """
        self._warning = None
        super().commit()
        if self._warning is not None:
            self.give_up()
            raise OperationalError(f"the commit is not acknowledged: {self._warning}")

    def refuse_other_schema(self, wanted: str) -> None:
        """Close the connection and raise OperationalError unless its search path is this one.

        A pooler that ignores `options` would lead to the tables of another schema.
        """
        (found,) = self.execute("SHOW search_path").fetchone() or ("",)
        self.rollback()
        if _plain(found) != _plain(wanted):
            self.close()
            raise OperationalError(
                f"search_path is {found}, not {wanted}: a pooler ignored the options of the database URL, so "
                f"leave them out and set it on the server (ALTER ROLE ... SET search_path = {wanted})"
            )

    def _seconds(self) -> float | None:
        """Return the time limit of what begins now."""
        if self.answer_seconds is None or not self.autocommit:
            return self.answer_seconds
        return self.answer_seconds / 2

    def _refuse_given_up(self) -> None:
        """Close a connection that was given up; a transaction that has begun may end."""
        if (
            self._hosts is not None
            and self._generation != self._hosts.generation
            and self.pgconn.transaction_status == TransactionStatus.IDLE
        ):
            self.pgconn.finish()
            raise OperationalError("the server was given up: it became read-only, or was cut off")

    def _leave(self) -> None:
        if self._hosts is not None:
            self._hosts.leave(self._host)

    def _noticed(self, notice: Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warning = notice.message_primary


def _plain(search_path: str) -> str:
    return re.sub(r'[\s"]', "", search_path)


class _NoAnswer(Exception):
    """No answer came in time."""


def _until(gen: Generator[Any, Any, _Answer], deadline: float) -> Generator[Any, Any, _Answer]:
    """Yield what the generator waits for; psycopg resumes every 0.1 s at the latest."""
    try:
        waits_for = next(gen)
        while True:
            ready = yield waits_for
            if not ready and time.monotonic() >= deadline:
                raise _NoAnswer
            waits_for = gen.send(ready)
    except StopIteration as ended:
        answer: _Answer = ended.value
        return answer
