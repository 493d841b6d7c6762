"""How an event loop admits requests: in place, in microseconds, unless somebody else must be asked.

Whatever in this package waits for another machine says so first (`announcing.py`). In the event loop
that ends the attempt, and the request is judged in a thread. A verifier that makes no such promise is
always asked in a thread. asyncio only.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import BoundedSemaphore

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.files.process_values import PerProcess
from macaroon_cbat.macaroon.verification import Principal
from macaroon_cbat.resource.admission import Admission, PresentedRequest
from macaroon_cbat.resource.blocking import (
    MustBlock,
    announces_blocking,
    mark_spare_thread,
    never_blocking,
)
from macaroon_cbat.resource.metrics import count_unavailable

THREADS = 32
"""How many requests of a process ask the service at once; the application's own threads stay free."""

MAX_WAITING = 1000
"""How many requests of a process wait for that at most; further ones are 503 at once."""


async def admit(admission: Admission, request: PresentedRequest, scope: str = "") -> Principal:
    """Return what `Admission.admit` returns, or raise what it raises, without holding up the event loop."""
    if announces_blocking(admission.verifier):
        try:
            with never_blocking():
                return admission.admit(request, scope)
        except MustBlock:
            pass
    threads, places = _threads.current()
    if not places.acquire(blocking=False):
        error = Unavailable(f"{MAX_WAITING} requests wait for {admission.verifier.issuer} already")
        count_unavailable(error)
        raise error
    try:
        loop, context = asyncio.get_running_loop(), copy_context()
        return await loop.run_in_executor(threads, context.run, admission.admit, request, scope)
    finally:
        places.release()


def _make_threads() -> tuple[ThreadPoolExecutor, BoundedSemaphore]:
    name = f"macaroon_cbat-{os.getpid()}"
    return ThreadPoolExecutor(THREADS, name, initializer=mark_spare_thread), BoundedSemaphore(MAX_WAITING)


_threads = PerProcess(_make_threads)
"""Threads and places of this process: a forked child has none of its parent's threads."""
