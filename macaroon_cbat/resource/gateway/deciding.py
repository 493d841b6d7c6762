"""Every question of one process, decided by the policy in force at that moment."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from macaroon_cbat.resource.announcing import MustWait, without_waiting
from macaroon_cbat.resource.answers import Answer
from macaroon_cbat.resource.gateway.decision import Gateway
from macaroon_cbat.resource.gateway.facts import Question
from macaroon_cbat.resource.gateway.reloading import InForce

log = logging.getLogger("macaroon_cbat.gateway")

Over = Literal["http", "grpc"]

_PATIENT_THREADS = 32
"""How many questions wait for the service at once; the others are answered meanwhile."""

_DEFECT = Answer(500, (("Content-Type", "application/json"),), b'{"error":"server_error"}')


class Deciding:
    """Decides in the event loop, in microseconds; what must wait for the service, in a thread."""

    def __init__(self, in_force: InForce) -> None:
        """Begin with this policy."""
        self.in_force = in_force
        self._threads = ThreadPoolExecutor(_PATIENT_THREADS, "waiting")

    def at_once(self, question: Question, over: Over) -> Answer | None:
        """Return the answer, or None when the service has to be asked first."""
        try:
            with without_waiting():
                return self._gateway(over).decide(question)
        except MustWait:
            return None
        except Exception:
            log.exception("a question could not be answered")
            return _DEFECT

    async def after_waiting(self, question: Question, over: Over) -> Answer:
        """Return the answer, once the service has answered, without holding up the event loop."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._gateway(over).decide, question)
        except Exception:
            log.exception("a question could not be answered")
            return _DEFECT

    def is_stranger(self, question: Question, over: Over) -> bool:
        """Tell whether who asks is none of the trusted proxies."""
        return self._gateway(over).trust.distrust(question.hop) is not None

    def _gateway(self, over: Over) -> Gateway:
        return self.in_force.over_http if over == "http" else self.in_force.over_grpc
