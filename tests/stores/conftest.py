from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from macaroon_cbat.stores import Stores, WrappingKey
from tests.stores.material import WRAPPING_KEY, Racers, opened, racing

Opener = Callable[..., Stores]


@pytest.fixture
def open_again(tmp_path: Path) -> Iterator[Opener]:
    """Open the same database once more, closed at the end of the test."""
    with ExitStack() as stack:

        def open_one(wrapping_key: WrappingKey = WRAPPING_KEY) -> Stores:
            stores = opened(tmp_path, wrapping_key)
            stack.callback(stores.database.close)
            return stores

        yield open_one


@pytest.fixture
def stores(open_again: Opener) -> Stores:
    return open_again()


@pytest.fixture(scope="session")
def racers() -> Iterator[Racers]:
    with racing(4) as processes:
        yield processes
