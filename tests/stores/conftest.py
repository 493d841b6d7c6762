from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from shutil import copy

import pytest

from macaroon_cbat.stores import Stores, WrappingKey, database, postgresql, sqlite
from tests.support.databases import WRAPPING_KEY, Racers, opened, racing, url_in
from tests.support.lent_databases import Lender
from tests.support.pgbouncer import pgbouncer
from tests.support.postgresql import Postgres

Opener = Callable[..., Stores]


@pytest.fixture(scope="session")
def server(shared_postgresql: Postgres) -> Postgres:
    return shared_postgresql


@pytest.fixture(scope="session")
def pooler(server: Postgres) -> Iterator[Callable[[str], str]]:
    """Run one PgBouncer in transaction mode before that server; it gives the URL of each database there."""
    with pgbouncer(server, pool_mode="transaction") as pooled:
        yield pooled


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Name one empty database after the other, of each kind in turn."""
    if request.param != "sqlite":
        server: Postgres = request.getfixturevalue("server")
        return server.new_database
    numbers = count()

    def in_a_folder() -> str:
        folder = tmp_path / f"database{next(numbers)}"
        folder.mkdir()
        return url_in(folder)

    return in_a_folder


KINDS = ["sqlite", "postgresql", "pgbouncer"]


@pytest.fixture(params=KINDS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Name an empty database, of each kind in turn; SQLite's lies in tmp_path."""
    if request.param == "sqlite":
        yield url_in(tmp_path)
        return
    server: Postgres = request.getfixturevalue("server")
    url = server.new_database()
    yield _on_a_server(request, url)
    server.drop(url)


def _open_once(url: str) -> None:
    opened(url).database.close()


@pytest.fixture(scope="session")
def opened_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return SQLite's file of a database that was opened once: it has its tables and root keys."""
    folder = tmp_path_factory.mktemp("opened-once")
    _open_once(url_in(folder))
    [file] = folder.iterdir()
    return file


@pytest.fixture(scope="session")
def opened_ones(server: Postgres) -> Iterator[Lender]:
    """Lend databases of PostgreSQL that were opened once."""
    lender = Lender(server, _open_once)
    yield lender
    lender.close()


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Name a database that was opened once, of each kind in turn; SQLite's lies in tmp_path."""
    if request.param == "sqlite":
        copy(request.getfixturevalue("opened_once"), tmp_path)
        yield url_in(tmp_path)
        return
    lender: Lender = request.getfixturevalue("opened_ones")
    with lender.lent() as url:
        yield _on_a_server(request, url)


def _on_a_server(request: pytest.FixtureRequest, url: str) -> str:
    """Name this database on PostgreSQL, or reached through PgBouncer."""
    if request.param == "postgresql":
        return url
    pooled: Callable[[str], str] = request.getfixturevalue("pooler")
    return pooled(url)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let writers wait for others, and users for a connection, one second instead of five."""
    for module in (database, postgresql, sqlite):
        monkeypatch.setattr(module, "BUSY_SECONDS", 1)


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
