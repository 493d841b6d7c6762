from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import pytest

from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.stores import client_store, revocations, root_keys, trusted_issuers
from tests.support.certificates import Identity, authority, certified
from tests.support.databases import url_in
from tests.support.people import PeopleByCookie
from tests.support.postgresql import Postgres
from tests.support.service import Service, make_database, settings_in
from tests.support.service_starter import KeptOnServer, KeptServices, OwnServices, Starter


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database that each test gets a copy of."""
    folder = tmp_path_factory.mktemp("database")
    make_database(url_in(folder))
    [file] = folder.iterdir()
    return file


@pytest.fixture(scope="session")
def kept_services(tmp_path_factory: pytest.TempPathFactory, database: Path) -> KeptServices:
    """Keep services that begin again with each test of this process."""
    return KeptServices(tmp_path_factory.mktemp("kept"), database)


@pytest.fixture
def services(kept_services: KeptServices, tmp_path: Path, database: Path) -> Iterator[OwnServices]:
    """Return the services of one test, ended with it."""
    services = OwnServices(kept_services, tmp_path, database)
    yield services
    services.close()


@pytest.fixture
def start(services: OwnServices) -> Starter:
    """Start a service with these settings changed, ended with the test."""
    return services.start


@pytest.fixture
def service(start: Starter) -> Service:
    return start()


@pytest.fixture
def lasting_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a service remember to the end of the test what it remembers for a second: a machine is busy."""
    for remembering in (client_store, revocations, root_keys, trusted_issuers):
        monkeypatch.setattr(remembering, "MEMORY_SECONDS", 3600.0)


@pytest.fixture(scope="session")
def ca_file(tmp_path_factory: pytest.TempPathFactory, ca: Identity) -> Path:
    """Return a file with the CA that the service trusts for tls_client_auth."""
    file = tmp_path_factory.mktemp("ca") / "clients-ca.pem"
    file.write_bytes(ca.pem)
    return file


@pytest.fixture
def trusting_ca(start: Starter, ca_file: Path) -> Service:
    """Start a service that trusts the one CA."""
    return start(is_kept=True, client_ca=ca_file)


@pytest.fixture(scope="module")
def lasting_trusting_ca(
    tmp_path_factory: pytest.TempPathFactory, database: Path, ca_file: Path
) -> Iterator[Service]:
    """Start one service that trusts the one CA, for the tests of a module that change nothing."""
    folder = tmp_path_factory.mktemp("lasting")
    copy(database, folder)
    service = Service(folder, settings_in(folder, client_ca=ca_file))
    yield service
    service.close()


@pytest.fixture
def new_service(services: OwnServices) -> Service:
    """Start a service whose application has answered no one before, and may be changed."""
    return services.start_new()


@pytest.fixture(scope="session")
def kept_on_server(
    shared_postgresql: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KeptOnServer]:
    """Keep a service on PostgreSQL that begins again with each test of this process."""
    kept = KeptOnServer(shared_postgresql.new_database(), tmp_path_factory.mktemp("kept"))
    yield kept
    kept.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def on_each_database(request: pytest.FixtureRequest, start: Starter) -> Service:
    """Start a service on a database of each kind in turn."""
    if request.param == "sqlite":
        return start()
    kept: KeptOnServer = request.getfixturevalue("kept_on_server")
    return kept.begin_again()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def lasting_on_each_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Start one service on a database of each kind, for the tests of a module that change nothing."""
    folder = tmp_path_factory.mktemp("lasting")
    is_sqlite = request.param == "sqlite"
    url = url_in(folder) if is_sqlite else request.getfixturevalue("shared_postgresql").new_database()
    make_database(url)
    service = Service(folder, settings_in(folder, database_url=url))
    yield service
    service.close()


@pytest.fixture(scope="session")
def kept_with_people(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Service:
    """Keep a service at which people sign in."""
    folder = tmp_path_factory.mktemp("people")
    copy(database, folder)
    return Service(folder, settings_in(folder), people=PeopleByCookie())


@pytest.fixture
def service_for_people(kept_with_people: Service, database: Path) -> Iterator[Service]:
    """Return the service at which people sign in, as one that has just started."""
    kept_with_people.begin_again_on(database)
    yield kept_with_people
    kept_with_people.close()


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
