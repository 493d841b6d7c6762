import sys
from types import ModuleType
from typing import Any

import pytest

from tests.support.adapters import ADAPTERS, Adapter


@pytest.fixture(params=ADAPTERS.values(), ids=list(ADAPTERS))
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """Each adapter in turn."""
    chosen: Adapter = request.param
    return chosen


@pytest.fixture
def guarded(adapter: Adapter) -> Any:
    """Return the guarded application of the adapter at hand, with the settings that most tests want."""
    return adapter.make()


@pytest.fixture(autouse=True)
def _as_under_uvicorn_with_h11(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process look as the one does whose requests `through_asgi` imitates."""
    monkeypatch.setitem(sys.modules, "uvicorn.protocols.http.h11_impl", ModuleType("h11_impl"))
    monkeypatch.delitem(sys.modules, "uvicorn.protocols.http.httptools_impl", raising=False)
