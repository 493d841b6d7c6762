import pytest

from tests.support.proxies.deployment import Stand
from tests.support.proxies.judgements import Case
from tests.support.proxies.wire_cases import ASKING, WEBSOCKETS, WIRE


@pytest.mark.parametrize("case", WIRE, ids=lambda case: case.name)
def test_nothing_passes_a_proxy_unseen(case: Case, shown_stand: Stand) -> None:
    """Behind every proxy no byte arrives that it did not judge, and no header in an attacker's words."""
    assert set(case.run(shown_stand)) <= case.expected(shown_stand.row)


@pytest.mark.parametrize("case", WEBSOCKETS, ids=lambda case: case.name)
def test_websockets_and_no_other_tunnel(case: Case, websocket_stand: Stand) -> None:
    """With --websocket a proxy opens WebSockets on that path, to those whom it lets in, and nothing else."""
    assert set(case.run(websocket_stand)) <= case.expected(websocket_stand.row)


@pytest.mark.parametrize("case", ASKING, ids=lambda case: case.name)
def test_the_gateway_hears_the_proxy_alone(case: Case, asked_stand: Stand) -> None:
    """In a question and through the document's route the gateway hears no header in an attacker's words."""
    assert set(case.run(asked_stand)) <= case.expected(asked_stand.row)
