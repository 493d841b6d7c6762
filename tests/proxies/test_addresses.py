import pytest

from tests.support.proxies.certificates import World
from tests.support.proxies.clients import Ask
from tests.support.proxies.deployment import make_stand
from tests.support.proxies.judgements import bearer, both, holder, judged
from tests.support.proxies.rows import Row

ROWS = (
    Row("nginx", "nginx", is_swapped=True),
    Row("envoy", "envoy", is_swapped=True),
    Row("haproxy", "haproxy-sha256", is_swapped=True),
    Row("caddy", "caddy", is_swapped=True),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_other_addresses(row: Row, world: World) -> None:
    """A gateway over TCP is asked as one behind a Unix socket is, and so is a server behind a Unix socket."""
    with make_stand(row, world) as stand:
        for ask in both(holder(stand, method="POST", body="x=1")):
            assert judged(stand, stand.ask(ask)) == "200"
        thief = Ask(headers=bearer(stand.world.bound()), client=stand.world.holders["thief"])
        assert [stand.ask(ask).outcome for ask in both(thief)] == ["401", "401"]


def test_apache_and_a_unix_socket(world: World) -> None:
    """Apache reaches a server behind a Unix socket."""
    with make_stand(Row("apache", "apache", is_guarded=True, is_shown=True, is_swapped=True), world) as stand:
        assert [stand.ask(ask).outcome for ask in both(holder(stand))] == ["200", "200"]
