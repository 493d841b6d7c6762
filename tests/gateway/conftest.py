from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.envoy_client import envoy_grpc
from tests.support.followed_service import Realm
from tests.support.gateway_process import Answered, Running, gateway
from tests.support.proxy_requests import KINDS as KINDS_OVER_HTTP
from tests.support.proxy_requests import Asked
from tests.support.tls_servers import Client, make_client

Ask = Callable[[Asked], Answered]


@pytest.fixture
def realm(tmp_path: Path) -> Realm:
    return Realm(tmp_path, {})


@pytest.fixture(scope="session")
def holder(tmp_path_factory: pytest.TempPathFactory) -> Client:
    return make_client(tmp_path_factory.mktemp("clients"), "holder")


@pytest.fixture(scope="session")
def thief(tmp_path_factory: pytest.TempPathFactory) -> Client:
    return make_client(tmp_path_factory.mktemp("clients"), "thief")


@pytest.fixture(scope="session")
def clients(holder: Client, thief: Client) -> dict[str, bytes]:
    """Return the certificates of the holder and of a thief."""
    return {"holder": holder.der, "thief": thief.der}


KINDS = {**KINDS_OVER_HTTP, "envoy-grpc": envoy_grpc}


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Give each way of asking in turn."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def running(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a gateway for this kind of proxy."""
    settings: dict[str, Any] = {"proxy": {"kind": kind.removesuffix("-grpc"), "trust": ["unix"]}}
    folder = tmp_path_factory.mktemp(kind)
    if kind == "envoy-grpc":
        settings["listen"] = {"grpc": f"unix:{folder}/grpc.sock"}
    with gateway(folder, **settings) as running:
        yield running


@pytest.fixture
def ask(running: Running, kind: str) -> Ask:
    """Return how a proxy of this kind asks the gateway that runs for it."""
    return lambda asked: KINDS[kind](running, asked)
