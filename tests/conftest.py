import os

import pytest

from macaroon_cbat.journal import recording
from macaroon_cbat.logs import forget_floods


@pytest.fixture(autouse=True)
def _no_flood_before() -> None:
    """Begin each test as a process begins: what other tests have refused leaves out no line of this one."""
    recording._refusals.forget()
    forget_floods()


os.umask(0o077)
"""The tests write keys as a careful operator does; what loose modes do is tested where it is the matter."""
