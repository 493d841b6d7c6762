import pytest

from tests.support.proxies.cases import CASES
from tests.support.proxies.deployment import Stand
from tests.support.proxies.judgements import Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, stand: Stand) -> None:
    """Behind every proxy the holder is let in, and nobody who only claims to be the holder."""
    assert set(case.run(stand)) <= case.expected(stand.row)
