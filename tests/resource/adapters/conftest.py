from typing import Any

import pytest

from tests.resource.adapters.material import ADAPTERS, Adapter


@pytest.fixture(params=ADAPTERS.values(), ids=list(ADAPTERS))
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """Each adapter in turn."""
    chosen: Adapter = request.param
    return chosen


@pytest.fixture
def guarded(adapter: Adapter) -> Any:
    """Return the guarded application of the adapter at hand, with the settings that most tests want."""
    return adapter.make()
