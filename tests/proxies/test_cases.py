import pytest

from tests.proxies.cases import CASES
from tests.proxies.judging import Case
from tests.proxies.stand import Stand


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, stand: Stand) -> None:
    """Behind every proxy the holder is let in, and nobody who only claims to be the holder."""
    assert set(case.run(stand)) <= case.expected(stand.row)
