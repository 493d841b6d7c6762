import pytest

from tests.support.proxies.deployment import Stand
from tests.support.proxies.judgements import Case
from tests.support.proxies.outages import OUTAGES


@pytest.mark.parametrize("case", OUTAGES, ids=lambda case: case.name)
def test_outage(case: Case, gateway_stand: Stand) -> None:
    """A proxy without its gateway admits no request; with it again, those that it admitted before."""
    assert set(case.run(gateway_stand)) <= case.expected(gateway_stand.row)
