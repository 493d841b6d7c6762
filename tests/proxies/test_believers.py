import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest

from tests.support.ports import free_port
from tests.support.proxies.certificates import World
from tests.support.proxies.clients import Ask
from tests.support.proxies.deployment import Stand, make_stand
from tests.support.proxies.judgements import both
from tests.support.proxies.processes import process, wait_for_port
from tests.support.proxies.rows import WIRE_ROWS
from tests.support.proxies.showing_upstream import Showing
from tests.support.service_process import ROOT


@dataclass(frozen=True)
class Believer:
    """A server that takes a request header for its proxy's word, and how an attacker uses it."""

    name: str
    command: tuple[str, ...]
    path: str
    attack: tuple[str, str]


BELIEVERS = (
    Believer(
        "Django on Daphne",
        ("daphne", "-b", "127.0.0.1", "-p", "{port}", "tests.support.proxies.django_behind:application"),
        "health/invoices",
        ("Daphne-Root-Path", "/health"),
    ),
    Believer(
        "Pyramid",
        ("waitress", "--listen=127.0.0.1:{port}", "tests.support.proxies.pyramid_behind:application"),
        "health",
        ("X-Vhm-Root", "/invoices"),
    ),
)
ROWS = [row for row in WIRE_ROWS if row.proxy == "apache" or not row.is_guarded]
SPELLINGS = (str, str.upper, str.lower, lambda n: n.replace("-", "_"), lambda n: n.replace("-", "."))


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Believer, int]]:
    """Run every server that believes headers; give the ports."""
    with ExitStack() as stack:
        found = {each: free_port() for each in BELIEVERS}
        for believer, port in found.items():
            folder = tmp_path_factory.mktemp("believer")
            command = [word.format(port=port) for word in believer.command]
            start = process(["env", f"PYTHONPATH={ROOT}", sys.executable, "-P", "-m", *command], folder)
            wait_for_port(port, stack.enter_context(start), folder)
        yield found


@pytest.fixture(params=BELIEVERS, ids=lambda each: each.name)
def believer(request: pytest.FixtureRequest) -> Believer:
    """Name each server that believes headers."""
    chosen: Believer = request.param
    return chosen


@pytest.fixture(params=ROWS, ids=lambda row: row.name)
def believing_stand(
    request: pytest.FixtureRequest, believer: Believer, ports: dict[Believer, int], world: World
) -> Iterator[Stand]:
    """Give each proxy before each of these servers."""
    behind = replace(world, upstream=Showing(ports[believer], world.upstream.socket))
    with make_stand(request.param, behind) as stand:
        yield stand


def test_the_resource_that_was_judged_is_the_one_that_runs(
    believing_stand: Stand, believer: Believer
) -> None:
    """Behind every proxy a server that believes headers runs the path that was judged."""
    stand = believing_stand
    name, value = believer.attack
    honest = Ask(f"/{believer.path}", "POST")
    attacks = [replace(honest, headers=((spell(name), value),)) for spell in SPELLINGS]
    answers = [stand.ask(each) for ask in attacks for each in both(ask)]
    runs = f"<{believer.path}>".encode()
    assert [runs in stand.ask(each).body for each in both(honest)] == [True, True]
    assert [runs in each.body for each in answers[:6]] == [True] * 6, "an ordinary spelling"
    assert all(runs in each.body or each.outcome in ("400", "cut off") for each in answers), answers
