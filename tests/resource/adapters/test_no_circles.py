"""A guarded request is freed as it ends, and not by the garbage collector, which stops every other one."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.adapters import ADAPTERS, Adapter
from tests.support.guarded_app import bound


@contextmanager
def garbage() -> Iterator[list[Any]]:
    """Collect, when the block ends, the objects that the block left in circles."""
    found: list[Any] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("settings", [{}, {"default": "deny"}], ids=["allow", "deny"])
@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)
def test_a_request_leaves_no_circle(adapter: Adapter, settings: dict[str, Any]):
    """A guard keeps nothing with a request that leads back to the request."""
    app = adapter.make(**settings)
    assert adapter.call(app, bound()).status in (200, 403)
    with garbage() as left:
        adapter.call(app, bound())
    assert [one for one in left if type(one).__module__.startswith("macaroon_cbat.")] == []
