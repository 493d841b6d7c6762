from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.followed_service import Realm
from tests.support.holders import Authority, House, make_holders
from tests.support.ports import free_port
from tests.support.postgresql import Postgres
from tests.support.service_process import Service, on_a_server, resource_server
from tests.support.tls_servers import Server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Say in the environment where the service's empty database is, of each kind in turn."""
    if request.param == "sqlite":
        yield {}
        return
    server: Postgres = request.getfixturevalue("shared_postgresql")
    url = server.new_database()
    yield on_a_server(url)
    server.drop(url)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("walks")


@pytest.fixture(scope="session")
def house(folder: Path) -> Iterator[House]:
    authority = Authority(folder / "client-ca.pem")
    service = Service(folder / "data", free_port())
    service.data.mkdir()
    house = House(service, make_holders(folder, authority))
    with service.running(MACAROON_CBAT_CLIENT_CA=str(folder / "client-ca.pem")):
        house.register()
        yield house


@pytest.fixture(scope="session")
def offline(folder: Path, house: House) -> Iterator[Server]:
    """Run a resource server that verifies with the audience's keys, in two processes."""
    keys = house.service.export(folder / "keys.json")
    with resource_server(folder / "offline", keys=keys, workers=2) as server:
        yield server


@pytest.fixture(scope="session")
def asking(folder: Path, house: House) -> Iterator[Server]:
    """Run a resource server that asks the service about every token."""
    with resource_server(folder / "asking", introspection=house.introspection) as server:
        yield server


@pytest.fixture(params=["offline", "asking"])
def guarded(request: pytest.FixtureRequest) -> Server:
    """Give each of the two resource servers in turn."""
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def realm(tmp_path: Path, database: Mapping[str, str]) -> Realm:
    return Realm(tmp_path, database)
