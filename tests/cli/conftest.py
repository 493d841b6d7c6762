from collections.abc import Iterator
from pathlib import Path

import pytest

from macaroon_cbat.service.settings import VARIABLES
from tests.support.certificates import Identity, certified
from tests.support.command_line import KEY_FILE, Served, serving, with_database


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep whatever the developer has set out of the tests, and the tests out of their home."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    for name in VARIABLES:
        monkeypatch.delenv(f"MACAROON_CBAT_{name}", raising=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a data folder with the database that a service made there."""
    return with_database(tmp_path / "data")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served") / "data") as service:
        yield service


@pytest.fixture(scope="session")
def identity() -> Identity:
    return certified("CN=billing")


@pytest.fixture
def certificate(tmp_path: Path, identity: Identity) -> Path:
    """Return a PEM file with certificate and key."""
    file = tmp_path / "client.pem"
    file.write_bytes(identity.pem + identity.key_pem)
    return file


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Return the key file of the one audience."""
    file = tmp_path / "keys.json"
    file.write_bytes(KEY_FILE)
    return file
