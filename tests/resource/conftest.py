import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from macaroon_cbat.macaroon.keys import write_key_file
from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.feeds import Feeding
from tests.support.guarded_app import make_app
from tests.support.ports import free_port
from tests.support.service_process import Service
from tests.support.tls_servers import make_client
from tests.support.tokens import KEYS


@pytest.fixture
def app() -> Flask:
    return make_app()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Write the audience's keys as `macaroon-cbat key export --output` does."""
    file = tmp_path / "keys.json"
    file.write_bytes(write_key_file(KEYS))
    file.chmod(0o600)
    return file


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Return what the guard logs, refusals included."""
    caplog.set_level(logging.INFO, "macaroon_cbat")
    return caplog


@pytest.fixture(scope="module")
def feeding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feeding]:
    """Run a service of its own for the module, with resource servers registered at it."""
    holder = make_client(tmp_path_factory.mktemp("invoices"), "invoices")
    feeding = Feeding(Service(tmp_path_factory.mktemp("service"), free_port()), holder, {})
    with feeding.service.running():
        feeding.register()
        yield feeding
        feeding.stop()


@pytest.fixture
def alone(feeding: Feeding, tmp_path: Path) -> Iterator[Feeding]:
    """Give a service that the test starts and stops by itself."""
    development_certificates(tmp_path / "data")
    alone = Feeding(Service(tmp_path / "data", free_port()), feeding.holder, {})
    alone.register()
    yield alone
    alone.stop()
