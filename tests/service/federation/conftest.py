from collections.abc import Iterator

import pytest

from tests.support.key_servers import KeyServer, key_server


@pytest.fixture(scope="session")
def lasting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyServer]:
    """Run one server of keys for all tests of this process."""
    with key_server(tmp_path_factory.mktemp("issuer")) as server:
        yield server


@pytest.fixture
def issuer(lasting_server: KeyServer) -> KeyServer:
    """Return a server that publishes nothing yet."""
    lasting_server.begin_again()
    return lasting_server
