from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from macaroon_cbat.stores import Stores, WrappingKey
from tests.support.databases import WRAPPING_KEY, Racers, opened, racing, url_in
from tests.support.pgbouncer import pgbouncer
from tests.support.postgresql import Postgres, postgres

Opener = Callable[..., Stores]


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """Run one PostgreSQL server for all tests of this process."""
    with postgres(is_durable=False) as one:
        yield one


@pytest.fixture(scope="session")
def pooler(server: Postgres) -> Iterator[Callable[[str], str]]:
    """Run one PgBouncer in transaction mode before that server; it gives the URL of each database there."""
    with pgbouncer(server, pool_mode="transaction") as pooled:
        yield pooled


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Name one empty database after the other, of each kind in turn."""
    if request.param != "sqlite":
        return lambda: _on_a_server(request, request.param)
    numbers = count()

    def in_a_folder() -> str:
        folder = tmp_path / f"database{next(numbers)}"
        folder.mkdir()
        return url_in(folder)

    return in_a_folder


@pytest.fixture(params=["sqlite", "postgresql", "pgbouncer"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name an empty database, of each kind in turn; SQLite's lies in tmp_path."""
    return url_in(tmp_path) if request.param == "sqlite" else _on_a_server(request, request.param)


def _on_a_server(request: pytest.FixtureRequest, kind: str) -> str:
    """Name an empty database on PostgreSQL, or reached through PgBouncer."""
    server: Postgres = request.getfixturevalue("server")
    url = server.new_database()
    if kind == "postgresql":
        return url
    pooled: Callable[[str], str] = request.getfixturevalue("pooler")
    return pooled(url)


@pytest.fixture
def open_again(url: str) -> Iterator[Opener]:
    """Open the same database once more, closed at the end of the test."""
    with ExitStack() as stack:

        def open_one(wrapping_key: WrappingKey = WRAPPING_KEY) -> Stores:
            stores = opened(url, wrapping_key)
            stack.callback(stores.database.close)
            return stores

        yield open_one


@pytest.fixture
def stores(open_again: Opener) -> Stores:
    return open_again()


@pytest.fixture(scope="session")
def racers() -> Iterator[Racers]:
    with racing(4) as processes:
        yield processes
