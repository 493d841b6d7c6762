"""The pytest plugin: fake keys and fake holders as fixtures.

pytest loads it wherever `macaroon_cbat` is installed, so it imports the kit in the fixtures alone.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from macaroon_cbat.macaroon.keys import AudienceKeys
    from macaroon_cbat.testing.holder import FakeHolder


@pytest.fixture(scope="session")
def macaroon_audience() -> str:
    """Return the audience of the fake keys; override this fixture where the guard's is another."""
    from macaroon_cbat.testing.keys import AUDIENCE

    return AUDIENCE


@pytest.fixture(scope="session")
def macaroon_keys(macaroon_audience: str) -> "AudienceKeys":
    """Return random keys of one audience, for `Guard(app, keys=macaroon_keys)`."""
    from macaroon_cbat.testing import fake_keys

    return fake_keys(macaroon_audience)


@pytest.fixture(scope="session")
def macaroon_key_file(macaroon_keys: "AudienceKeys", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a key file (mode 0600) with the same keys, for applications that read a path."""
    from macaroon_cbat.macaroon.keys import write_key_file

    file = tmp_path_factory.mktemp("macaroon_cbat") / "keys.json"
    file.touch(mode=0o600)
    file.write_bytes(write_key_file(macaroon_keys))
    return file


@pytest.fixture
def macaroon_holder(macaroon_keys: "AudienceKeys") -> "FakeHolder":
    """Return a holder of tokens for these keys."""
    from macaroon_cbat.testing import FakeHolder

    return FakeHolder(macaroon_keys)


@pytest.fixture
def macaroon_thief(macaroon_keys: "AudienceKeys") -> "FakeHolder":
    """Return another holder, with another certificate, to present stolen tokens."""
    from macaroon_cbat.testing import FakeHolder

    return FakeHolder(macaroon_keys, client_id="thief")
