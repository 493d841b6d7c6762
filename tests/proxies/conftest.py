from collections.abc import Iterator

import pytest

from tests.support.proxies.certificates import World, make_world
from tests.support.proxies.deployment import Stand, make_stand
from tests.support.proxies.rows import ASKED_ROWS, ROWS, WEBSOCKET_ROWS, WIRE_ROWS


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with make_world(tmp_path_factory.mktemp("proxies")) as world:
        yield world


@pytest.fixture(scope="module", params=ROWS, ids=lambda row: row.name)
def stand(request: pytest.FixtureRequest, world: World) -> Iterator[Stand]:
    """Give each row in turn; one runs at a time."""
    with make_stand(request.param, world) as stand:
        yield stand


@pytest.fixture(scope="module", params=[row for row in ROWS if not row.is_guarded], ids=lambda row: row.name)
def gateway_stand(request: pytest.FixtureRequest, world: World) -> Iterator[Stand]:
    """Give each row with a gateway in turn, for tests that end the gateway."""
    with make_stand(request.param, world) as stand:
        yield stand


@pytest.fixture(scope="module", params=WIRE_ROWS, ids=lambda row: row.name)
def shown_stand(request: pytest.FixtureRequest, world: World) -> Iterator[Stand]:
    """Give each row before the server that shows what arrives."""
    with make_stand(request.param, world) as stand:
        yield stand


@pytest.fixture(scope="module", params=WEBSOCKET_ROWS, ids=lambda row: row.name)
def websocket_stand(request: pytest.FixtureRequest, world: World) -> Iterator[Stand]:
    """Give each row that lets WebSockets pass on one path."""
    with make_stand(request.param, world) as stand:
        yield stand


@pytest.fixture(scope="module", params=ASKED_ROWS, ids=lambda row: row.name)
def asked_stand(request: pytest.FixtureRequest, world: World) -> Iterator[Stand]:
    """Give each row that asks a server which shows what it is asked."""
    with make_stand(request.param, world) as stand:
        yield stand
