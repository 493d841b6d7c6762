"""The threads in which the event loops of a process make calls that block (`blocking`)."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import BoundedSemaphore
from typing import ParamSpec, TypeVar

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.files.process_values import PerProcess
from macaroon_cbat.resource.blocking import mark_spare_thread
from macaroon_cbat.resource.metrics import count_unavailable

THREADS = 32
"""Calls of one process that block at once: the threads do nothing but wait for the service."""

MAX_WAITING = 1000
"""Calls of one process that block or wait for a thread. A silent service would collect more without end."""

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


async def in_thread(
    issuer: str, call: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Return what the call returns in a thread of this process, without blocking the event loop.

    Raises Unavailable at once if MAX_WAITING calls wait already; `issuer` names the service that they ask.
    """
    threads, places = _pool.current()
    if not places.acquire(blocking=False):
        error = Unavailable(
            f"{MAX_WAITING} requests wait for {issuer} already: see why the service does not answer"
        )
        count_unavailable(error)
        raise error
    context = copy_context()  # the application's context variables, as in the event loop
    future = threads.submit(lambda: context.run(call, *args, **kwargs))
    future.add_done_callback(lambda _: places.release())
    # A client that goes away cancels the wait and not the call, which keeps its place until it has ended:
    # clients could queue calls without end otherwise.
    return await asyncio.shield(asyncio.wrap_future(future))


def _make_pool() -> tuple[ThreadPoolExecutor, BoundedSemaphore]:
    name = f"macaroon_cbat-{os.getpid()}"
    return ThreadPoolExecutor(THREADS, name, initializer=mark_spare_thread), BoundedSemaphore(MAX_WAITING)


_pool = PerProcess(_make_pool)
"""The threads of this process: a forked child has none of its parent's threads."""
