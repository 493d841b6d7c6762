from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from macaroon_cbat.audit.file import write_log_to
from tests.support.certificates import Identity, authority, certified
from tests.support.databases import url_in
from tests.support.lent_databases import Lender
from tests.support.postgresql import Postgres
from tests.support.service import Service, make_database, settings_in
from tests.support.service_starter import Starter


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database that each test gets a copy of."""
    folder = tmp_path_factory.mktemp("database")
    make_database(url_in(folder))
    [file] = folder.iterdir()
    return file


@pytest.fixture
def start(tmp_path: Path, database: Path) -> Iterator[Starter]:
    """Start a service with these settings changed, ended with the test."""
    copy(database, tmp_path)
    with ExitStack() as stack:

        def start_one(**changes: Any) -> Service:
            service = Service(tmp_path, settings_in(tmp_path, **changes))
            stack.callback(service.close)
            return service

        yield start_one


@pytest.fixture
def service(start: Starter) -> Service:
    return start()


@pytest.fixture(scope="session")
def lender(shared_postgresql: Postgres) -> Iterator[Lender]:
    """Lend PostgreSQL databases with the clients that are registered in the copied one."""
    lender = Lender(shared_postgresql, make_database)
    yield lender
    lender.close()


@pytest.fixture
def lent_url(lender: Lender) -> Iterator[str]:
    """Name such a database."""
    with lender.lent() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def on_each_database(request: pytest.FixtureRequest, start: Starter) -> Service:
    """Start a service on a database of each kind in turn."""
    if request.param == "sqlite":
        return start()
    return start(database_url=request.getfixturevalue("lent_url"))


@pytest.fixture(scope="session")
def certificate() -> Identity:
    """Return the certificate of an honest client."""
    return certified()


@pytest.fixture(scope="session")
def other_certificate() -> Identity:
    return certified("CN=thief")


@pytest.fixture(scope="session")
def ca() -> Identity:
    """Return the CA that the service trusts for tls_client_auth."""
    return authority()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where the audit log is to be."""
    return tmp_path / "audit.log"


@pytest.fixture
def audited(start: Starter, file: Path) -> Iterator[Service]:
    """Start a service whose audit log is a file."""
    yield start(audit_log=str(file))
    write_log_to(None)
