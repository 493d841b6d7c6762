from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.support.proxies.certificates import World
from tests.support.proxies.deployment import Stand, make_stand
from tests.support.proxies.judgements import Case
from tests.support.proxies.outages import HANGS, SUDDEN
from tests.support.proxies.rows import ROWS, Row

ASKING = tuple(row for row in ROWS if not row.is_guarded)


@pytest.fixture(scope="module", autouse=True)
def hanging(world: World) -> Iterator[dict[Row, Future[set[str]]]]:
    """Have the gateway of each row hang, at once and beside the other outages: Traefik waits 30 seconds."""
    with ExitStack() as stack:
        stands = [stack.enter_context(make_stand(row, world)) for row in ASKING]
        with ThreadPoolExecutor(len(stands)) as pool:
            yield {stand.row: pool.submit(_hang, stand) for stand in stands}


def _hang(stand: Stand) -> set[str]:
    return set(HANGS.run(stand))


@pytest.mark.parametrize("case", SUDDEN, ids=lambda case: case.name)
def test_outage(case: Case, gateway_stand: Stand) -> None:
    """While the gateway is gone no proxy lets a request through; once it is back the holder gets in."""
    assert set(case.run(gateway_stand)) <= case.expected(gateway_stand.row)


@pytest.mark.parametrize("row", ASKING, ids=lambda row: row.name)
def test_a_gateway_that_hangs(row: Row, hanging: dict[Row, Future[set[str]]]) -> None:
    """While the gateway says nothing no proxy lets a request through; once it speaks the holder gets in."""
    assert hanging[row].result() <= HANGS.expected(row)
