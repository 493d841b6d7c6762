"""Connections to PostgreSQL with a time limit for every statement."""

import re
import time
from collections.abc import Generator
from typing import Any, TypeVar

from macaroon_cbat.errors.extras import extra
from macaroon_cbat.stores.sqlite import BUSY_SECONDS

with extra("postgresql"):
    from psycopg import Connection, OperationalError

ANSWER_SECONDS = 2 * BUSY_SECONDS
"""The seconds that one statement may take, the queue of a pooler included.

A suspended server keeps the connection open and is silent. So does a pooler that waits for a server:
PgBouncer lets its clients wait for two minutes.
"""

_Answer = TypeVar("_Answer")


class ImpatientConnection(Connection[Any]):
    """A connection that is closed, with an OperationalError, if no answer comes in time.

    `answer_seconds` None means no limit.
    """

    answer_seconds: float | None = ANSWER_SECONDS

    def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
        """Run the generator to its end, within the time limit."""
        if self.answer_seconds is None:
            return super().wait(gen, *arguments, **options)
        try:
            return super().wait(_until(gen, time.monotonic() + self.answer_seconds), *arguments, **options)
        except _NoAnswer as error:
            self.pgconn.finish()
            raise OperationalError(f"no answer for {self.answer_seconds} s") from error

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
