from collections.abc import Iterator

import pytest

from tests.proxies.stand import ROWS, Stand, World, make_stand, make_world


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
