import logging
from pathlib import Path

import pytest
from flask import Flask

from macaroon_cbat.keys import write_key_file
from tests.core.material import KEYS
from tests.resource.material import make_app


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
    caplog.set_level(logging.INFO, "macaroon_cbat.resource")
    return caplog
