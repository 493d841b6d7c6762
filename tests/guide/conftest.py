import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def the_usual_umask() -> Iterator[None]:
    """Type the README's commands under the umask that most people have."""
    before = os.umask(0o022)
    yield
    os.umask(before)
