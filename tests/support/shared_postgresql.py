"""The PostgreSQL server that all tests of one process share, started by the first one that asks."""

from collections.abc import Iterator

import pytest

from tests.support.postgresql import Postgres, postgres


@pytest.fixture(scope="session")
def shared_postgresql() -> Iterator[Postgres]:
    """Run one server that need not outlive anything; each test has a database of its own there."""
    with postgres(outlives="nothing") as one:
        yield one
