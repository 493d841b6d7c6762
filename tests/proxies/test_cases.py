import pytest

from tests.support.proxies.cases import CASES
from tests.support.proxies.deployment import Stand
from tests.support.proxies.judgements import Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, stand: Stand) -> None:
    """Every proxy admits the holder, and no client that only claims to be the holder."""
    assert set(case.run(stand)) <= case.expected(stand.row)
