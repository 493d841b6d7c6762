"""How an event loop admits requests: in place, in microseconds, unless somebody else must be asked.

Whatever in this package waits for another machine says so first (`announcing.py`). In the event loop
that ends the attempt, and the request is judged in a thread. A verifier that makes no such promise is
always asked in a thread. asyncio only.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import lru_cache

from macaroon_cbat.resource.admission import Admission, PresentedRequest
from macaroon_cbat.resource.announcing import MustWait, announces_waiting, without_waiting
from macaroon_cbat.verification import Principal

MAX_WAITING = 32
"""How many requests of a process wait for the service at once; the application's own threads stay free."""


async def admit(admission: Admission, request: PresentedRequest, scope: str = "") -> Principal:
    """Return what `Admission.admit` returns, or raise what it raises, without holding up the event loop."""
    if announces_waiting(admission.verifier):
        try:
            with without_waiting():
                return admission.admit(request, scope)
        except MustWait:
            pass
    loop, context = asyncio.get_running_loop(), copy_context()
    return await loop.run_in_executor(_threads(os.getpid()), context.run, admission.admit, request, scope)


@lru_cache(maxsize=1)
def _threads(process: int) -> ThreadPoolExecutor:
    """Return the threads of this process: a forked child has none of its parent's."""
    return ThreadPoolExecutor(MAX_WAITING, thread_name_prefix=f"macaroon_cbat-{process}")
