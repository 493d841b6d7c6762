"""The duties of every row with a gateway while the gateway is gone, or goes while requests are under way."""

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.support.patience import SECONDS
from tests.support.proxies.clients import Ask, Reply
from tests.support.proxies.deployment import Stand
from tests.support.proxies.judgements import Case, bearer, both, holder, judged

GONE = frozenset({"500", "502", "503", "504"})
PAUSE = 0.02


def gateway_down(stand: Stand) -> list[str]:
    """Ask while no gateway judges: the holder, a thief, and for a public path."""
    stand.stop_gateway()
    try:
        thief = Ask(headers=bearer(stand.world.bound()), client=stand.world.holders["thief"])
        asks = (holder(stand), thief, Ask(path="/health"))
        replies = [stand.ask(each) for ask in asks for each in both(ask)]
    finally:
        stand.start_gateway()
    assert all(reply.seen is None for reply in replies)
    _wait_for_the_holder(stand)
    return [reply.outcome for reply in replies]


def gateway_killed(stand: Stand) -> list[str]:
    """Kill the gateway while all ask: no thief gets in, and holders do again once it is back."""
    end = threading.Event()
    honest: list[Reply] = []
    stolen: list[Reply] = []
    thief = Ask(headers=bearer(stand.world.bound()), client=stand.world.holders["thief"])
    threads = [
        threading.Thread(target=_ask_on, args=(stand, ask, end, replies))
        for ask, replies in (
            (holder(stand), honest),
            (holder(stand), honest),
            (thief, stolen),
            (thief, stolen),
        )
    ]
    for thread in threads:
        thread.start()
    try:
        _wait_until(lambda: _count(honest, "200") > 5 and _count(stolen, "401") > 5)
        stand.stop_gateway()
        _wait_until(lambda: _count(honest, *GONE) > 5 and _count(stolen, *GONE) > 5)
        stand.start_gateway()
        seen = _count(honest, "200")
        _wait_until(lambda: _count(honest, "200") > seen + 5)
    finally:
        end.set()
        for thread in threads:
            thread.join()
    assert all(reply.seen is None for reply in stolen)
    assert {reply.outcome for reply in stolen} <= GONE | {"401"}
    return [judged(stand, reply) for reply in honest]


def gateway_hangs(stand: Stand) -> list[str]:
    """Stop the gateway in its tracks, so that it takes questions and answers none."""
    thief = Ask(headers=bearer(stand.world.bound()), client=stand.world.holders["thief"])
    stand.signal_gateway(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor() as pool:
            replies = list(pool.map(stand.ask, (holder(stand), thief, Ask(path="/health"))))
    finally:
        stand.signal_gateway(signal.SIGCONT)
    assert all(reply.seen is None for reply in replies)
    _wait_for_the_holder(stand)
    return [reply.outcome for reply in replies]


def _ask_on(stand: Stand, ask: Ask, end: threading.Event, replies: list[Reply]) -> None:
    while not end.is_set():
        replies.append(stand.ask(ask))
        end.wait(PAUSE)


def _count(replies: list[Reply], *outcomes: str) -> int:
    return sum(reply.outcome in outcomes for reply in replies)


def _wait_for_the_holder(stand: Stand) -> None:
    """Wait until a proxy that remembers an outage asks its gateway again."""
    _wait_until(lambda: stand.ask(holder(stand)).outcome == "200")


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(PAUSE)


HANGS = Case("gateway hangs", gateway_hangs, GONE)
SUDDEN = (
    Case("gateway down", gateway_down, GONE),
    Case("gateway killed under load", gateway_killed, GONE | {"200"}),
)
OUTAGES = (*SUDDEN, HANGS)
