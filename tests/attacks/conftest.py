from collections.abc import Iterator
from pathlib import Path

import pytest

from macaroon_cbat.macaroon.keys import write_key_file
from tests.support.service_process import resource_server
from tests.support.target import Target
from tests.support.tls_servers import make_client
from tests.support.tokens import KEYS


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder: Path = tmp_path_factory.mktemp("attacks")
    keys = folder / "keys.json"
    keys.write_bytes(write_key_file(KEYS))
    keys.chmod(0o600)
    with resource_server(folder / "api", keys=keys) as server:
        yield Target(server, make_client(folder, "holder"), make_client(folder, "thief"))
