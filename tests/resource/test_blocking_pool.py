"""The threads of a process for calls that block."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from threading import Event

import pytest

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.resource.blocking import is_spare_thread
from macaroon_cbat.resource.blocking_pool import MAX_WAITING, in_thread
from tests.support.tls_servers import wait_until
from tests.support.tokens import ISSUER

tenant = ContextVar("tenant", default="none")


def test_a_call_runs_in_a_spare_thread_with_the_context_of_the_request():
    """The call sees the context variables of the request, in a thread of which bounds on callers know."""

    async def run() -> tuple[str, bool]:
        tenant.set("acme")
        return await in_thread(ISSUER, lambda: (tenant.get(), is_spare_thread()))

    assert asyncio.run(run()) == ("acme", True)


def fail() -> None:
    raise RuntimeError("a defect")


def test_a_failed_call_gives_its_place_back():
    """However many calls have failed, as many as may wait find a place afterwards."""
    gate = Event()

    async def run() -> list[bool]:
        failed = await asyncio.gather(
            *(in_thread(ISSUER, fail) for _ in range(MAX_WAITING)), return_exceptions=True
        )
        assert {type(one) for one in failed} == {RuntimeError}
        waiting = [asyncio.create_task(in_thread(ISSUER, gate.wait)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match=f"{MAX_WAITING} requests wait for {ISSUER} already"):
            await in_thread(ISSUER, gate.wait)
        gate.set()
        return await asyncio.gather(*waiting)

    assert asyncio.run(run()) == [True] * MAX_WAITING


def test_clients_that_go_away_free_no_place():
    """A call keeps its place until it has ended: clients that disconnect cannot queue calls without end."""
    gate = Event()

    async def attack() -> None:
        asked = [asyncio.create_task(in_thread(ISSUER, gate.wait)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        with pytest.raises(Unavailable, match=f"{MAX_WAITING} requests wait for {ISSUER} already"):
            await in_thread(ISSUER, gate.wait)

    async def ask() -> bool:
        return await in_thread(ISSUER, gate.wait)

    try:
        asyncio.run(attack())
    finally:
        gate.set()
    wait_until(lambda: is_served(ask))


def is_served(ask: Callable[[], Coroutine[None, None, bool]]) -> bool:
    """Return True if the pool has a place again."""
    try:
        return asyncio.run(ask())
    except Unavailable:
        return False
